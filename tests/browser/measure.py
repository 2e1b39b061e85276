"""JavaScript functions that measure a page. Playwright runs them despite the page's policy."""

from typing import Final

LINES: Final = """() => {
    const svg = document.querySelector('nav svg');
    const link = point => [...svg.querySelectorAll('a')].find(each => {
        const dot = each.querySelector('circle');
        return Math.hypot(dot.cx.baseVal.value - point.x, dot.cy.baseVal.value - point.y) < 1;
    })?.getAttribute('href');
    return [...svg.querySelectorAll('path.line')].map(path =>
        [path.getPointAtLength(0), path.getPointAtLength(path.getTotalLength())].map(link));
}"""
"""For each line of the first graph, the links of the dots where it begins and ends."""

MARKED: Final = """() => [...document.querySelectorAll('nav svg a')].filter(each =>
    getComputedStyle(each.querySelector('.row')).fill !== 'rgba(0, 0, 0, 0)')
    .map(each => each.getAttribute('href'))"""
"""The links of the graphs' highlighted rows."""

BOXES: Final = """() => [...document.querySelectorAll('nav svg circle, nav svg text')].map(each => {
    const box = each.getBoundingClientRect(), svg = each.ownerSVGElement.getBoundingClientRect();
    return [box.left - svg.left, box.top + scrollY, box.right - svg.left, box.bottom + scrollY, svg.width];
})"""
"""The boxes of dots and texts, and the width of their graph."""

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
            const row = each.tagName === 'a' && each.querySelector('.row');
            if (row) layers.push(parse(getComputedStyle(row).fill));
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
