"""The style sheet of a thread's page, which also shows the checkpoint that was clicked on."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --text: #1c2128; --soft: #535c66;
  --line: #d5dae0; --hover: #6e778122; --here: #1f6fd622; --blue: #1f6fd6; --green: #1a7f45; --red: #c6303a;
  --gold: #855800; --violet: #7a4fc9; --grey: #6e7781; --ins: #dcf5e5; --del: #fde3e5; --ask: #fff4d6;
  --human: #e3f3e9; --ai: #e8f0fc; --tool: #f1ecfb; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1318; --card: #181e25; --text: #e4e9ef; --soft:
  #9ba6b2;
  --line: #323b46; --hover: #8b949e26; --here: #6aa9f733; --blue: #6aa9f7; --green: #5cc98a; --red: #ff8087;
  --gold: #e0ac3f; --violet: #b795f5; --grey: #8b949e; --ins: #16392a; --del: #45212a; --ask: #3b3013;
  --human: #18352a; --ai: #1c2e47; --tool: #2a2342; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; margin: 0 auto;
  max-width: 100rem; padding: 1.2rem; background: var(--ground); color: var(--text); }
main { display: grid; gap: 1rem; margin-top: 1rem; grid-template-columns: minmax(17rem, auto) minmax(0, 1fr);
  align-items: start; }
.charts { grid-area: 1 / 1 / 2 / -1; min-width: 0; }
nav { grid-area: 2 / 1; }
section { grid-area: 2 / 2; min-width: 0; padding: 1.2rem 1.5rem 1.5rem; scroll-margin-top: 1rem; display:
  none; }
section.latest, section:target { display: block; }
section:target ~ section.latest { display: none; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h1 small { font-size: .9rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft); display: block; }
h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: .8rem; letter-spacing: .05em; text-transform: uppercase; color: var(--soft);
  margin: 1.6rem 0 .5rem; }
p { margin: .3rem 0; overflow-wrap: anywhere; }
.soft, .note { color: var(--soft); font-size: .87rem; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1rem 0
  0; }
dl div, nav, section, .charts { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
dl div { padding: .6rem .9rem; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
.charts { padding: .8rem 1rem; }
.charts details { margin-top: .5rem; }
nav { padding: 1rem; overflow: auto; position: sticky; top: 1rem; max-height: calc(100vh - 2rem);
  max-width: 26rem; }
nav h2:not(:first-child) { margin-top: 1.4rem; }
nav svg { display: block; margin-top: .6rem; }
figure { margin: 0; }
figure div { overflow-x: auto; }
figcaption { font-size: .87rem; color: var(--soft); margin-bottom: .4rem; }
figcaption b { margin-right: .9rem; display: inline-block; }
figcaption b::before { content: "■ "; }
.chart { display: block; width: 100%; min-width: 50rem; height: auto; }
svg text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--text); }
svg text.axis { text-anchor: end; }
svg text.axis, svg .soft { fill: var(--soft); }
svg .soft { font-size: inherit; }
svg .asks { fill: var(--gold); font-weight: 600; }
svg .fails { fill: var(--red); font-weight: 600; }
svg a { cursor: pointer; outline: none; }
.row { fill: transparent; }
.c0 { fill: var(--here); }
section:target ~ * .c0 { fill: transparent; }
a:hover .row.row { fill: var(--hover); }
a:focus-visible .row.row { fill: var(--hover); stroke: var(--blue); stroke-width: 2; }
:is(a, summary):focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; border-radius: 3px; }
svg a:focus-visible { outline: none; }
.line { fill: none; stroke: var(--grey); stroke-width: 2; opacity: .6; }
.gone { stroke-dasharray: 3 3; }
.grid { stroke: var(--line); }
circle { fill: var(--grey); stroke: var(--card); stroke-width: 2; }
circle.input { fill: var(--green); }
circle.loop { fill: var(--blue); }
circle.update { fill: var(--gold); }
circle.fork { fill: var(--violet); }
circle.waits { stroke: var(--gold); stroke-width: 3; }
circle.failed { stroke: var(--red); stroke-width: 3; }
rect.bar { fill: var(--gold); opacity: .55; }
polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round; pointer-events: none; }
polyline.state { stroke: var(--blue); }
polyline.sofar { stroke: var(--green); }
b.state { color: var(--blue); }
b.bar { color: var(--gold); }
b.sofar { color: var(--green); }
a { color: var(--blue); }
.head { display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: center; }
.tag { font-size: .78rem; font-weight: 600; border: 1px solid; border-radius: 99px; padding: 0 .6rem;
  color: var(--grey); overflow-wrap: anywhere; }
.tag.input, .tag.added { color: var(--green); }
.tag.loop { color: var(--blue); }
.tag.update, .tag.waits, .tag.changed { color: var(--gold); }
.tag.fork { color: var(--violet); }
.tag.failed, .tag.removed { color: var(--red); }
summary { font-weight: 600; cursor: pointer; overflow-wrap: anywhere; }
details { margin: .5rem 0; }
pre { margin: .4rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
details > pre { background: var(--ground); border: 1px solid var(--line); border-radius: 8px;
  padding: .5rem .8rem; }
details > .diff { padding: .3rem 0; overflow: hidden; }
.diff > * { display: block; padding: 0 .8rem; text-decoration: none; }
.diff ins { background: var(--ins); }
.diff del { background: var(--del); }
.asked > pre { background: var(--ask); border-color: var(--gold); }
.broke > pre { background: var(--del); border-color: var(--red); }
.said { background: var(--ground); border-radius: 12px; padding: .5rem .9rem .6rem; margin: .6rem 0;
  width: fit-content; max-width: min(46rem, 88%); }
.said b { font-size: .78rem; color: var(--soft); overflow-wrap: anywhere; }
.said pre { margin: 0; font: inherit; }
.said.human, .said.user { background: var(--human); margin-left: auto; border-bottom-right-radius: 3px; }
.said.ai, .said.assistant { background: var(--ai); border-bottom-left-radius: 3px; }
.said.tool { background: var(--tool); border-bottom-left-radius: 3px; }
.said.tool pre { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 800px) { body { padding: .8rem; }
  main { grid-template-columns: minmax(0, 1fr); gap: .8rem; margin-top: .8rem; }
  nav { position: static; max-width: none; max-height: 22rem; }
  section { grid-area: 3 / 1; padding: 1rem; }
  dl { grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); } .said { max-width: 96%; } }
@media print { body { background: none; padding: 0; } main { display: flex; flex-direction: column; }
  nav, section, .charts, dl div { border: 0; padding: 0; align-self: stretch; }
  .charts { order: -2; }
  nav { order: -1; position: static; max-height: none; max-width: none; overflow: visible; }
  section, section:target ~ section.latest { display: block; padding-top: 1rem;
  border-top: 1px solid var(--line); border-radius: 0; }
  .chart { min-width: 0; } .said, ins, del, circle, rect { print-color-adjust: exact; }
  .said { break-inside: avoid; } }
"""


def style(anchors: int) -> str:
    """The style sheet of a page, in whose drawings the checkpoint that is shown is marked.

    That is a rule for each. Rules with `:has()` would leave the elements in any order, but with a thousand of
    them a browser takes minutes.

    Args:
        anchors: How many checkpoints there are: `c0`, the latest, and so on.
    """
    rows = (f"#c{each}:target ~ * .c{each} {{ fill: var(--here); }}\n" for each in range(anchors))
    return STYLE + "".join(rows)
