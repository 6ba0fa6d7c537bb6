/* half.h: numbers of 16 bits as other programs write them. */
#pragma once

#include <stdint.h>

float mn_float_of_half(uint16_t bits);  /* IEEE 754 binary16 */
float mn_float_of_brain(uint16_t bits); /* bfloat16, the upper half of a float32 */
