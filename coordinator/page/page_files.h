/* page_files.h: the files of the page, as bytes of the program; page_files.S puts them there. */
#pragma once

#define MN_PAGE_FILE(name) extern const unsigned char mn_file_##name[], mn_file_##name##_end[]

MN_PAGE_FILE(page_html);
MN_PAGE_FILE(page_css);
MN_PAGE_FILE(page_js);
MN_PAGE_FILE(icon_svg);
MN_PAGE_FILE(chart_js);      /* Chart.js, of Debian's libjs-chart.js */
MN_PAGE_FILE(chart_licence); /* of whom it is, and that it may be here */
