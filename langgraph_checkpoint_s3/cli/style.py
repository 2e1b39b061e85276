"""The style sheet of a thread's page, which also shows the checkpoint that was clicked on."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --blue: #2a7ae2; --green: #2e9e5b; --red: #d64545;
  --gold: #c98a00; --violet: #8a5cd6; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; display: grid; min-height: 100vh;
  grid-template: auto 1fr / minmax(16rem, 26rem) 1fr; }
header { grid-column: 1 / 3; padding: .6rem 1.2rem; border-bottom: 1px solid var(--line); }
header p { margin: .1rem 0; opacity: .8; }
h1 { font-size: 1.3rem; margin: .2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; overflow-wrap: anywhere; }
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; }
nav { padding: 0 1.2rem; overflow: auto; border-right: 1px solid var(--line); position: sticky; top: 0;
  max-height: 100vh; }
main { padding: 0 1.2rem 2rem; min-width: 0; }
figure { margin: .8rem 0; overflow-x: auto; }
section { display: none; }
section:target, main:not(:has(section:target)) section.latest { display: block; }
svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
svg text.axis { text-anchor: end; opacity: .7; }
svg a { cursor: pointer; }
.row { fill: transparent; }
a:hover .row, a:focus .row { fill: #8883; }
.line { fill: none; stroke: var(--line); stroke-width: 2; }
.gone { stroke-dasharray: 3 3; }
.grid { stroke: var(--line); }
circle { fill: #888; }
circle.input { fill: var(--green); }
circle.loop { fill: var(--blue); }
circle.update { fill: var(--gold); }
circle.fork { fill: var(--violet); }
circle.waits { stroke: var(--gold); stroke-width: 3; }
circle.failed { stroke: var(--red); stroke-width: 3; }
rect.bar { fill: var(--gold); }
polyline { fill: none; stroke-width: 2; pointer-events: none; }
polyline.state { stroke: var(--blue); }
polyline.sofar { stroke: var(--green); }
b.state { color: var(--blue); }
b.bar { color: var(--gold); }
b.sofar { color: var(--green); }
summary { font-weight: 600; cursor: pointer; overflow-wrap: anywhere; }
pre { margin: .2rem 0 .6rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.4 ui-monospace, monospace; }
.diff ins { background: #2e9e5b33; text-decoration: none; }
.diff del { background: #d6454533; text-decoration: none; }
.said { border-left: 3px solid #888; padding: .1rem .8rem; margin: .4rem 0; }
.said.human, .said.user { border-color: var(--green); }
.said.ai, .said.assistant { border-color: var(--blue); }
.said.tool { border-color: var(--violet); }
@media print { section { display: block; } nav { position: static; max-height: none; } }
"""
