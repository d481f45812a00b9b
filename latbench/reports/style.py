"""How every page looks: one column, calm, black on white, and the same on paper."""

CSS = """
:root {
  color-scheme: only light;
  --ink: #1b1f24; --muted: #57606a; --line: #d0d7de; --pale: #f6f8fa; --accent: #0a58a5;
}
* { box-sizing: border-box; }
html { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; color: var(--ink); background: white; }
body { max-width: 1000px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1.08rem; margin: 2rem 0 .5rem; }
section.group { border-top: 1px solid var(--line); margin-top: 3rem; }
section.group > h2 { font-size: 1.5rem; margin-top: 1.75rem; }
p { margin: .6rem 0; max-width: 72ch; overflow-wrap: anywhere; }
a { color: var(--accent); }
.headline { font-size: 1.2rem; line-height: 1.45; margin: 0 0 .75rem; }
.met, .missed, .open { border-left: 5px solid; padding: .1rem 0 .1rem .9rem; }
.met { border-color: #1a7f37; } .missed { border-color: #b42318; } .open { border-color: #9a6700; }
code, pre, tbody .code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", monospace; font-size: .82rem; }
pre { background: var(--pale); border: 1px solid var(--line); border-radius: 6px;
  padding: .7rem .9rem; margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
code { overflow-wrap: anywhere; }
dl { margin: 1rem 0; }
dd { margin: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: .75rem;
  margin: 1.25rem 0; }
.facts > div { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .85rem; }
.facts dt { color: var(--muted); font-size: .82rem; line-height: 1.3; }
.facts dd { font-size: 1.2rem; font-variant-numeric: tabular-nums; margin-top: .15rem; }
.facts small { display: block; font-size: .8rem; color: var(--muted); }
.origin { background: var(--pale); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr));
  gap: .25rem 1.5rem; font-size: .88rem; }
.origin > div { display: flex; gap: .5rem; }
.origin dt { color: var(--muted); flex: none; }
.origin dd { overflow-wrap: anywhere; }
.terms > div { margin: .7rem 0; max-width: 76ch; }
.terms dt { font-weight: 600; }
.aside { color: var(--muted); font-size: .9rem; }
.notes { background: #fff8e5; border: 1px solid #e6d9a8; border-radius: 8px;
  padding: .5rem 1rem; margin: 1rem 0; }
.notes ul { margin: .3rem 0; padding-left: 1.2rem; }
nav ul { margin: .5rem 0 0; padding-left: 1.2rem; }
figure { margin: 1rem 0 1.5rem; }
figcaption { color: var(--muted); font-size: .9rem; max-width: 80ch; margin-top: .25rem; }
figure svg.drawing { max-width: 100%; height: auto; display: block; }
.table { overflow-x: auto; margin: 1rem 0; }
.table.long { max-height: 38rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.table.long thead th { position: sticky; top: 0; background: white;
  box-shadow: inset 0 -2px var(--muted); }
table { border-collapse: collapse; min-width: min(100%, 32rem); font-size: .88rem; }
caption { text-align: left; color: var(--muted); padding-bottom: .4rem; }
th, td { text-align: left; padding: .32rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: baseline; }
thead th { border-bottom: 2px solid var(--muted); vertical-align: bottom; }
thead th { font-weight: 600; } tbody th { font-weight: 400 !important; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
thead .number { white-space: normal; }
tbody .code { overflow-wrap: anywhere; min-width: 15rem; font-size: .76rem; line-height: 1.45; }
.absent { color: var(--muted); font-style: italic; }
th > span[role] { cursor: pointer; }
th > span[role]:hover, th > span:focus-visible { text-decoration: underline; }
th > span:focus-visible, .table:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 2px; }
th[aria-sort="ascending"] > span::after { content: " ↑"; }
th[aria-sort="descending"] > span::after { content: " ↓"; }
footer { border-top: 1px solid var(--line); margin-top: 3.5rem; padding-top: .8rem;
  color: var(--muted); font-size: .85rem; }
@media print {
  @page { size: A4; margin: 14mm; }
  html { font-size: 11pt; }
  body { max-width: none; padding: 0; }
  nav, .modebar { display: none !important; }
  .table, .table.long { overflow: visible; max-height: none; }
  .table.long thead th { position: static; box-shadow: none; }
  table { font-size: 8pt; }
  th, td { padding: .2rem .4rem; }
  tbody .code { font-size: 6.5pt; min-width: 9rem; }
  thead { display: table-header-group; }
  tr, figure, .facts > div, .origin { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
  section.group + section.group { break-before: page; border: 0; margin: 0; }
}
"""
