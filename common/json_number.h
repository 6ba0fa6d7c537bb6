/* json_number.h: a double for a JSON document, which knows neither NaN nor infinity. */
#pragma once

#include <jansson.h>

/* A new reference: a real, or null for what is not finite. NULL: out of memory. */
json_t *mn_json_number(double value);
