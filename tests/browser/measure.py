"""JavaScript functions that measure a page. Playwright runs them despite the page's policy."""

from typing import Final

DOTS: Final = """() => [...document.querySelectorAll('nav > .rows > ol > li > .tree > .dot')].map(each => {
    const dot = each.getBoundingClientRect(), row = each.closest('li').getBoundingClientRect();
    return [each.closest('li').querySelector('a').hash, dot.left + dot.width / 2, row.top, row.bottom];
})"""
"""For each dot of the timeline, the link of its row, its place across, and the row's top and bottom."""

CONTRASTS: Final = """() => {
    const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const over = (top, under) => {
        const alpha = top.length > 3 ? top[3] : 1;
        return [0, 1, 2].map(i => top[i] * alpha + under[i] * (1 - alpha));
    };
    const light = colour => {
        const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const [r, g, b] = colour.map(v => linear(v / 255));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const ground = element => {
        const layers = [];
        for (let each = element; each; each = each.parentElement) {
            layers.push(parse(getComputedStyle(each).backgroundColor));
        }
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || element.tagName === 'title') continue;
        if (!element.checkVisibility()) continue;
        const style = getComputedStyle(element), svg = element.ownerSVGElement;
        const under = ground(element), text = over(parse(svg ? style.fill : style.color), under);
        const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
        found.push([(a + .05) / (b + .05), walk.currentNode.data]);
    }
    return found;
}"""
"""The contrast of each visible text with its background, and the text."""

OVERFLOW: Final = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

CUT: Final = """() => [...document.querySelectorAll('main *, header *')].filter(each => {
    const style = getComputedStyle(each);
    return each.checkVisibility() && style.display !== 'inline' && style.overflowX === 'visible'
        && !each.ownerSVGElement && each.scrollWidth > each.clientWidth + 1;
}).map(each => each.outerHTML.slice(0, 100))"""
"""The elements whose content is wider than they are."""
