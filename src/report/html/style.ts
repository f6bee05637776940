/** The page's looks: light and dark, for wide and narrow screens, and for paper. Fonts are the reader's own. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#f6f5f2;--card:#fff;--ink:#1d1f23;--soft:#5d636e;--line:#e2e0da;--accent:#a8321f;--accent-soft:#fbeeea;
--link:#1f5fa8;--code:#f4f3ef;--good:#2d7a46;--warn:#9a6400;--bad:#b3261e;--mark:#ffe58a;--shadow:0 1px 2px rgba(30,25,10,.06),0 4px 16px rgba(30,25,10,.04)}
@media (prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1d2024;--ink:#e7e5e0;--soft:#9ba1ab;--line:#30343a;--accent:#ff8a73;
--accent-soft:#33221f;--link:#82b4f0;--code:#24282d;--good:#7cc894;--warn:#e3b55a;--bad:#ff8a80;--mark:#6b5500;--shadow:none}}
*{box-sizing:border-box}
html{scroll-padding-top:3.5rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
code,pre,.mono,.frames,.log{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.84em;
font-variant-ligatures:none}
code{overflow-wrap:anywhere}
main,header.top{max-width:68rem;margin:0 auto;padding:0 1.25rem}
header.top{padding-top:2.2rem;padding-bottom:.4rem}
.kicker{color:var(--soft);font-size:.8rem;letter-spacing:.08em;text-transform:uppercase;margin:0 0 .5rem}
h1{font-size:clamp(1.35rem,1rem + 1.7vw,2rem);line-height:1.25;font-weight:650;margin:0 0 .8rem;overflow-wrap:anywhere;text-wrap:balance}
h2{font-size:1.08rem;font-weight:650;margin:0 0 .7rem;display:flex;gap:.6rem;align-items:baseline;flex-wrap:wrap}
h2 small{font-weight:400;color:var(--soft);font-size:.82rem}
h3{font-size:.92rem;font-weight:600;margin:1.1rem 0 .4rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
.chips{display:flex;flex-wrap:wrap;gap:.4rem;list-style:none;margin:0;padding:0}
.chips li{background:var(--card);border:1px solid var(--line);border-radius:99px;padding:.12rem .7rem;font-size:.85rem}
.chips .bad{color:var(--bad);border-color:currentColor}
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line);margin-top:1.1rem}
nav ul{max-width:68rem;margin:0 auto;padding:.55rem 1.25rem;display:flex;gap:1.1rem;list-style:none;overflow-x:auto;scrollbar-width:none;font-size:.88rem;white-space:nowrap}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.15rem 1.3rem;margin:1rem 0;box-shadow:var(--shadow)}
section.cause{border-left:4px solid var(--accent)}
.sentence{font-size:1.18rem;line-height:1.45;margin:0 0 .9rem;overflow-wrap:anywhere;text-wrap:pretty}
.said{display:grid;grid-template-columns:max-content 1fr;gap:.3rem .9rem;margin:0 0 1rem;font-size:.92rem}
.said dt{color:var(--soft)}.said dd{margin:0;overflow-wrap:anywhere}.said .against{color:var(--warn)}
.signature{background:var(--code);border-radius:8px;padding:.6rem .8rem}
.signature .id{font-weight:600;user-select:all}
.signature p{margin:.15rem 0 0;color:var(--soft);font-size:.88rem;overflow-wrap:anywhere}
.facts{margin:0}
.facts div{display:grid;grid-template-columns:7rem 1fr;gap:.8rem;padding:.3rem 0;border-top:1px solid var(--line);align-content:start}
.facts div:first-child{border-top:0}
.facts dt{color:var(--soft);font-size:.88rem}.facts dd{margin:0;font-size:.92rem;overflow-wrap:anywhere}
meter{width:100%;height:.7rem;display:block;margin-top:.25rem}
details{border-top:1px solid var(--line)}details:first-of-type{border-top:0}
summary{cursor:pointer;padding:.45rem 0;overflow-wrap:anywhere}summary:hover{color:var(--link)}
summary .aside{color:var(--soft);font-size:.86rem;margin-left:.4rem}
summary.aside{color:var(--soft);font-size:.86rem}summary::marker{color:var(--soft)}
.frames{list-style:none;margin:.2rem 0 .7rem;padding:.6rem .8rem;background:var(--code);border-radius:8px;overflow-x:auto}
.frames li{padding:.06rem 0 .06rem 2.6rem;text-indent:-2.6rem;overflow-wrap:anywhere}
.frames .n{display:inline-block;width:2.6rem;text-indent:0;color:var(--soft)}
.frames .off{color:var(--soft)}.frames .module{color:var(--accent)}.frames .aside{color:var(--soft);font-size:.92em;margin-left:.5em}
.frames .guess{opacity:.65}.frames .here{font-weight:650}.frames .here .aside,.frames .here .n{font-weight:400}
.problem{color:var(--soft);font-size:.86rem;margin:.2rem 0 .7rem}
.scroll{overflow-x:auto;max-height:32rem;overflow-y:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{text-align:left;padding:.28rem .7rem;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
th{position:sticky;top:0;background:var(--card);font-weight:600;color:var(--soft)}
tr:last-child td{border-bottom:0}td.num,th.num{text-align:right;font-variant-numeric:tabular-nums}td.text{white-space:normal;overflow-wrap:anywhere;min-width:14rem}
tr.strong td{font-weight:600}tr.dim td{color:var(--soft)}
.js th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
th button{all:unset}th[aria-sort] button{color:var(--ink)}
th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
.tools{display:none;gap:.6rem;margin:0 0 .7rem;flex-wrap:wrap;align-items:center}.js .tools{display:flex}
.tools input[type=search]{flex:1 1 14rem;min-width:0;font:inherit;font-size:.95rem;color:inherit;background:var(--code);border:1px solid var(--line);border-radius:8px;padding:.4rem .7rem}
.tools select{font:inherit;font-size:.9rem;color:inherit;background:var(--code);border:1px solid var(--line);border-radius:8px;padding:.4rem .5rem}
.tools output{color:var(--soft);font-size:.85rem;min-width:6.5rem}
.log{margin:0;padding:.6rem .2rem .6rem .8rem;background:var(--code);border-radius:8px;overflow:auto;max-height:34rem}
.log div{display:grid;grid-template-columns:7.4rem 1fr;content-visibility:auto;contain-intrinsic-height:auto 1.5em}
.log div[hidden]{display:none}
.log time{color:var(--soft);white-space:pre}.log span{white-space:pre-wrap;overflow-wrap:anywhere}
.l0 span,.l1 span,.l2 span{color:var(--bad);font-weight:650}.l3 span{color:var(--bad)}.l4 span{color:var(--warn)}.l7 span{color:var(--soft)}
mark{background:var(--mark);color:inherit;border-radius:2px}
pre{background:var(--code);border-radius:8px;padding:.7rem .8rem;margin:.3rem 0;overflow:auto;max-height:40rem;white-space:pre-wrap;overflow-wrap:anywhere}
.registers{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.1rem 1rem;margin:.2rem 0 .6rem}
.registers div{display:flex;gap:.6rem;white-space:nowrap}.registers dt{color:var(--soft);min-width:3.2rem;text-align:right}.registers dd{margin:0}
.absent{color:var(--soft);font-style:italic;margin:.2rem 0}
.damage{border-color:var(--warn)}.damage h2{color:var(--warn)}
footer{max-width:68rem;margin:0 auto;padding:.6rem 1.25rem 2.5rem;color:var(--soft);font-size:.82rem}
@media (max-width:38rem){section{padding:.95rem .95rem;border-radius:10px}main,header.top{padding-left:.75rem;padding-right:.75rem}nav ul{padding-left:.75rem}
.facts div{grid-template-columns:6rem 1fr}.said{grid-template-columns:4.6rem 1fr;gap:.35rem .6rem;font-size:.88rem}
.said dt{font-size:.92em}.log div{grid-template-columns:1fr}.log time{font-size:.9em}.frames li{padding-left:2.1rem;text-indent:-2.1rem}
.frames .n{width:2.1rem}}
.paper{display:none}
@media print{.paper{display:block;color:var(--soft);font-size:.85rem;margin:0 0 .4rem}.log div:is(.l5,.l6,.l7):not(:nth-last-child(-n+60)),tbody tr:nth-child(n+61){display:none}
:root{--bg:#fff;--card:#fff;--ink:#000;--soft:#555;--line:#ccc;--code:#fff;--accent:#000;--link:#000;--shadow:none;--bad:#000;--warn:#333}
body{font-size:10pt}nav,.tools,footer .screen{display:none!important}section{border:0;border-top:1px solid #999;border-radius:0;padding:.6rem 0;margin:.4rem 0;break-inside:auto}
section.cause{border-left:0}h2,summary{break-after:avoid}.frames,.log,pre,.signature{padding-left:0;padding-right:0}.frames li,.log div,tr{break-inside:avoid}
.scroll,.log,pre{max-height:none;overflow:visible;border:0}th{position:static}th,td{padding:.08rem .5rem}.facts div{padding:.1rem 0}main,header.top,footer{max-width:none;padding-left:0;padding-right:0}
details:not(.quiet)::details-content{content-visibility:visible;height:auto}.log div{content-visibility:visible}a{color:inherit}
.l0 span,.l1 span,.l2 span,.l3 span{font-weight:700}}
`.trim();
