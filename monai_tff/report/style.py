"""How the report looks: one style sheet, light and dark, on a screen and on paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --muted: #57606a; --line: #d0d7de; --panel: #f6f8fa; --link: #0a58b0;
  --series-0: #0b62b8; --series-1: #b3470a; --series-2: #1a7a45; --series-3: #7a3fb0; --series-4: #a1246b;
  --series-5: #5c6670; --warn: #8a4b00; --warn-panel: #fff4e0; --warn-line: #d9902f; --good: #17693a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --ink: #e6e9ed; --muted: #9ba6b2; --line: #39424e; --panel: #1a2028; --link: #7db8ff;
    --series-0: #6cb2ff; --series-1: #ffab70; --series-2: #74d99f; --series-3: #cba6f7; --series-4: #f49ac1;
    --series-5: #a8b3bf; --warn: #ffc670; --warn-panel: #2b2112; --warn-line: #b57a2a; --good: #74d99f;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
.page { display: grid; grid-template-columns: minmax(0, 1fr); max-width: 76rem; margin: 0 auto; padding: 0 1rem 4rem; }
@media (min-width: 66rem) {
  .page { grid-template-columns: 13rem minmax(0, 1fr); gap: 2.5rem; }
  nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; padding-top: 2rem; }
}
header { padding: 1.8rem 0 0.4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 0.3rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
p { margin: 0.5rem 0; max-width: 48rem; }
a { color: var(--link); }
nav { font-size: 0.9rem; }
nav ol { list-style: none; margin: 0; padding: 0; columns: 11rem; }
nav li { margin: 0.2rem 0; break-inside: avoid; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 0.5rem; background: var(--paper); padding: 0.3rem 0.6rem; z-index: 1; }
.muted, figcaption, caption { color: var(--muted); }
.small, figcaption, caption { font-size: 0.88rem; }
.verdict { font-size: 1.15rem; border-left: 4px solid var(--series-0); padding: 0.3rem 0 0.3rem 0.9rem; }
.warnings { background: var(--warn-panel); border: 1px solid var(--warn-line); border-radius: 6px;
  padding: 0.5rem 1rem; }
.warnings h3 { margin-top: 0.5rem; color: var(--warn); }
.warnings ul { margin: 0.3rem 0; padding-left: 1.2rem; }
.warnings li { margin: 0.25rem 0; }
.absent { border: 1px dashed var(--line); border-radius: 6px; padding: 0.5rem 0.9rem; color: var(--muted); }
.scroll { overflow-x: auto; margin: 0.7rem 0; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.2rem 0 0.4rem; caption-side: top; }
th, td { text-align: left; padding: 0.28rem 0.9rem 0.28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { color: var(--muted); font-weight: 600; border-bottom: 2px solid var(--line); }
tbody th { font-weight: 500; min-width: 6rem; }
td.number, th.number { text-align: right; }
.confusion td { text-align: center; padding: 0.4rem 0.9rem; }
.interval { white-space: nowrap; }
.rows td, .rows th { white-space: nowrap; }
figure { margin: 1rem 0; min-width: 0; }
figcaption { margin-top: 0.3rem; max-width: 48rem; }
.figures { display: flex; flex-wrap: wrap; gap: 0.5rem 1.6rem; align-items: flex-start; }
.figures figure { flex: 0 1 auto; max-width: 100%; }
.figures.halves figure { flex: 1 1 22rem; max-width: 30rem; }
.chart { display: block; max-width: 100%; height: auto; color: var(--ink); }
.chart text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
.chart * { stroke-linejoin: round; stroke-linecap: butt; }
.chart image { image-rendering: pixelated; }
.brain { display: block; max-width: 100%; height: auto; border-radius: 4px; }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--panel);
  padding: 0.1em 0.3em; border-radius: 4px; overflow-wrap: anywhere; }
details { margin: 0.7rem 0; border: 1px solid var(--line); border-radius: 6px; padding: 0.4rem 0.9rem; }
summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(7rem, 14rem) minmax(0, 1fr); gap: 0.25rem 1rem; margin: 0.6rem 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) { dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: 0.4rem; } }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 0.8rem; }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --muted: #444; --line: #bbb; --panel: #f3f3f3; --link: #000;
    --series-0: #0b62b8; --series-1: #b3470a; --series-2: #1a7a45; --series-3: #7a3fb0; --series-4: #a1246b;
    --series-5: #5c6670; --warn: #6b3a00; --warn-panel: #fff; --good: #17693a; }
  body { font-size: 10pt; }
  .page { display: block; max-width: none; padding: 0; }
  .skip { display: none; }
  nav { position: static; max-height: none; }
  figure, tr, .warnings, dl { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; }
  .scroll { overflow: visible; }
}
"""
"""The colours are variables, so that figures (see `monai_tff.report.figures.chart`) follow the reader's scheme."""
