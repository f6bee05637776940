import { Markup } from '../html/markup.js';

/** Without variables: other programs than browsers draw these pictures too. */
export const KHO_IMAGE_STYLE = new Markup(`
svg{color-scheme:light dark}
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1d1f23}
.title{font-size:16px;font-weight:650}.scale{font-size:13px;font-weight:600}
.soft{fill:#5d636e}.label{text-anchor:end}
.tick{font:11px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#5d636e}
.letter{font-weight:700;text-anchor:middle;fill:#fff;pointer-events:none}
.page{fill:#fff}.grid{stroke:#e2e0da}.lane{fill:#f1f0ec}
.holes{fill:url(#hatch)}.hatch{stroke:#c9c6bd;stroke-width:2}
.ram{fill:#b9bec7}.scratch{fill:#3f8fd0}.map{fill:#8a5fc0}.fault{fill:#d22d20}.zoom{fill:#4a505b}
.named{fill:#fff;stroke:#a86a00;stroke-width:1.5}
.o0{fill:#78c78c}.o1{fill:#54b06c}.o4{fill:#35954e}.o9{fill:#1f7539}.o18{fill:#0d5026}
@media (prefers-color-scheme:dark){
text{fill:#e7e5e0}.soft,.tick{fill:#9ba1ab}.letter{fill:#15171a}
.page{fill:#15171a}.grid{stroke:#30343a}.lane{fill:#20242a}.hatch{stroke:#3a4048}
.ram{fill:#59616d}.scratch{fill:#4d9de0}.map{fill:#a884dc}.fault{fill:#ff6b5e}.zoom{fill:#c5cad3}
.named{fill:#15171a;stroke:#e3b55a}
.o0{fill:#3f8f58}.o1{fill:#52a76c}.o4{fill:#6bbf84}.o9{fill:#90d9a5}.o18{fill:#c4f3cf}
}
`);
