#include "app/base/html.h"

namespace lockstep::app {
namespace {

constexpr char kStyle[] = R"(
:root{--bg:#fbfbfa;--panel:#fff;--text:#1d2125;--dim:#68717a;--line:#e3e5e8;--good:#23844f;--bad:#c3332d}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--panel:#1c2024;--text:#e6e9ec;--dim:#98a2ac;--line:#2d3339;--good:#4fc487;--bad:#f0736c}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 24px 64px}h1{font-size:24px;margin:0 0 2px}h2{font-size:16px;margin:36px 0 10px}
.dim{color:var(--dim)}.panel{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:14px 16px;overflow-x:auto}
.badge{display:inline-block;padding:2px 12px;border-radius:12px;color:#fff;font-weight:600;vertical-align:3px;font-size:14px;margin-left:10px}.good{background:var(--good)}.bad{background:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:20px}
.card{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px 16px}.card b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th{font-weight:600;text-align:right;color:var(--dim);border-bottom:1px solid var(--line);padding:4px 10px}
td{text-align:right;padding:4px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}tr:last-child td{border-bottom:0}td.l,th.l{text-align:left}
@media print{.panel,.card{break-inside:avoid}}
)";

}  // namespace

std::string html_escape(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '"')
            out += "&quot;";
        else if (static_cast<unsigned char>(c) >= 0x20)
            out += c;
    }
    return out;
}

std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, size_t left) {
    const auto row = [&](const std::vector<std::string>& cells, const char* tag) {
        std::string out = "<tr>";
        for (size_t i = 0; i < cells.size(); ++i)
            out += std::string("<") + tag + (i < left ? " class=l>" : ">") + html_escape(cells[i]) + "</" +
                   tag + ">";
        return out + "</tr>\n";
    };
    std::string out = "<div class=panel><table>" + row(head, "th");
    for (const std::vector<std::string>& cells : rows)
        out += row(cells, "td");
    return out + "</table></div>\n";
}

std::string html_page(const std::string& title, const std::string& body, const std::string& style) {
    return "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
           "content=\"width=device-width,initial-scale=1\"><meta name=color-scheme content=\"light "
           "dark\"><title>" +
           html_escape(title) + "</title><style>" + kStyle + style + "</style></head><body><main>" + body +
           "</main></body></html>\n";
}

}  // namespace lockstep::app
