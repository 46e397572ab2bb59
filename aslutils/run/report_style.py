"""How a run's report looks: light or dark as the reader's system is, on a phone as on a desktop."""

CSS = """
:root { --ground: #fff; --ink: #1d1d1f; --faint: #5f6368; --line: #dcdcdc; --card: #f5f5f3; --link: #0b5cad; --bad: #a63a00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171c; --ink: #e8e8ea; --faint: #a3a8b0; --line: #363a43; --card: #1f222a; --link: #7db9f5; --bad: #fa7; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { margin: 0.5rem 0 1rem; font-size: 1.8rem; }
h2 { margin: 0; padding-top: 2.5rem; font-size: 1.4rem; }
h3 { margin: 1.8rem 0 0.3rem; font-size: 1.1rem; }
a { color: var(--link); }
small, .ran { color: var(--faint); font-size: 0.85rem; }
.ran { margin: 0.1rem 0 0.8rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 0.7rem; margin: 0 0 1rem; }
.figures div { background: var(--card); border-radius: 8px; padding: 0.7rem 0.9rem; }
dt { color: var(--faint); font-size: 0.85rem; line-height: 1.3; }
dd { margin: 0.2rem 0 0; font-size: 1.5rem; font-weight: 600; line-height: 1.25; }
dd small { display: block; font-weight: 400; font-size: 0.8rem; line-height: 1.3; }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; border-block: 1px solid var(--line); padding: 0.6rem 0; }
.picture, .table { margin: 0.8rem 0; overflow-x: auto; }
.picture img { display: block; max-width: 100%; height: auto; border-radius: 8px; }
figure img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: 0.25rem 0.7rem 0.25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
table.dataframe, table.dataframe td, table.dataframe th { border-width: 0 0 1px; text-align: right; white-space: nowrap; }
.parameters td:nth-child(2) { min-width: 6rem; }
.parameters td:nth-child(3) { color: var(--faint); }
code, pre { font: 0.85em/1.45 ui-monospace, Menlo, Consolas, monospace; }
pre { background: var(--card); border-radius: 8px; padding: 0.6rem 0.9rem; white-space: pre-wrap; margin: 0.8rem 0; }
.error { color: var(--bad); }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 44rem) {
  .picture img { max-width: none; width: 44rem; }
  .parameters, .parameters tbody, .parameters tr, .parameters td { display: block; border: 0; padding: 0; }
  .parameters tr { padding: 0.4rem 0; border-bottom: 1px solid var(--line); }
}
@media print { nav { display: none; } .picture, pre, table { break-inside: avoid; } }
"""
