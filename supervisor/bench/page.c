#include "bench/page.h"

#include "app/html.h"

/* Of the drawing, in its own units. */
enum { ROW = 26, BAR = 16, LABEL = 150, LENGTH = 460, WIDTH = 760 };

static const char style[] =
    ":root{color-scheme:light dark}\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:50em;margin:2.5em auto;padding:0 1em}\n"
    "h1{font-size:1.4em;margin-bottom:0}h2{font-size:1.05em;margin:1.8em 0 .4em}\n"
    "p.sub{margin-top:.2em;opacity:.7}svg{width:100%;height:auto}\n"
    "svg text{font-size:13px;fill:currentColor}\n"
    "rect.plain{fill:#8a8f98}rect.main{fill:#2f7dd1}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "td,th{padding:.25em .6em;text-align:right;border-bottom:1px solid #8884}\n"
    "td.name,th.name{text-align:left}pre{white-space:pre-wrap}\n";

void bench_page_begin(struct buf *page, const char *title, const char *subtitle)
{
    buf_addf(page,
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
             "<style>\n%s</style>\n",
             style);
    html_addf(page, "<title>%s</title></head><body>\n<h1>%s</h1>\n<p class=\"sub\">%s</p>\n",
              title, title, subtitle);
}

void bench_page_end(struct buf *page)
{
    buf_adds(page, "</body></html>\n");
}

struct bench_bars bench_bars_begin(struct buf *page, double whole)
{
    return (struct bench_bars){.page = page, .whole = whole};
}

void bench_bars_add(struct bench_bars *bars, const char *label, const char *value, double part,
                    bool stressed)
{
    unsigned top = bars->count++ * ROW;
    double length = bars->whole > 0 ? MIN(MAX(part / bars->whole, 0), 1) * LENGTH : 0;
    if (part > 0)
        length = MAX(length, 1); /* something is not nothing */
    buf_addf(&bars->rows, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", LABEL - 8, top + 13);
    html_text(&bars->rows, slice_of(label));
    buf_addf(&bars->rows,
             "</text><rect class=\"%s\" x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" "
             "rx=\"2\"/><text x=\"%.1f\" y=\"%u\">",
             stressed ? "main" : "plain", LABEL, top, length, BAR, LABEL + length + 8,
             top + 13);
    html_text(&bars->rows, slice_of(value));
    buf_adds(&bars->rows, "</text>\n");
}

void bench_bars_end(struct bench_bars *bars)
{
    buf_addf(bars->page, "<svg viewBox=\"0 0 %d %u\" role=\"img\">\n", WIDTH,
             bars->count * ROW);
    buf_add(bars->page, buf_slice(&bars->rows));
    buf_adds(bars->page, "</svg>\n");
    buf_deinit(&bars->rows);
}
