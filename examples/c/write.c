/* Writes text with a character model that `tinygrad-rnn export RUN model.c` wrote.

       cc -std=c99 -O3 -ffp-contract=off write.c -o write -lm
       ./write "how it begins"

   A program of several files would say #define MODEL_DECLARATIONS_ONLY before the include, in all but one. */
#include <stdio.h>

#include "model.c"

static model_state state;
static float scores[MODEL_CHARACTERS];

static void print(unsigned long c) { /* in UTF-8 */
  if (c < 0x80) {
    putchar((int)c);
  } else if (c < 0x800) {
    putchar((int)(0xC0 | c >> 6));
    putchar((int)(0x80 | (c & 0x3F)));
  } else {
    if (c < 0x10000) {
      putchar((int)(0xE0 | c >> 12));
    } else {
      putchar((int)(0xF0 | c >> 18));
      putchar((int)(0x80 | (c >> 12 & 0x3F)));
    }
    putchar((int)(0x80 | (c >> 6 & 0x3F)));
    putchar((int)(0x80 | (c & 0x3F)));
  }
}

/* A character by its score: e^score is its weight (a softmax at temperature ½). */
static int draw(void) {
  static unsigned long seed = 1;
  float best = scores[0], total = 0, chance;
  int i;
  for (i = 1; i < MODEL_CHARACTERS; i++) best = scores[i] > best ? scores[i] : best;
  for (i = 0; i < MODEL_CHARACTERS; i++) total += expf(2 * (scores[i] - best));
  seed = (seed * 1103515245UL + 12345UL) & 0x7FFFFFFFUL;
  chance = (float)seed / 2147483648.0f * total;
  for (i = 0; i < MODEL_CHARACTERS - 1; i++) {
    chance -= expf(2 * (scores[i] - best));
    if (chance < 0) break;
  }
  return i;
}

int main(int count, char **words) {
  const char *text = count > 1 ? words[1] : "";
  int number = 0, i;
  model_reset(&state);
  for (; *text; text++) { /* what lies outside of ASCII would have to be read as UTF-8 first */
    number = model_number((unsigned char)*text);
    if (number < 0 || model_step(&state, &number, scores)) {
      fprintf(stderr, "the model has never seen '%c'\n", *text);
      return 1;
    }
    putchar(*text);
  }
  if (count < 2 || !*words[1]) model_step(&state, &number, scores);
  for (i = 0; i < 600; i++) {
    number = draw();
    print(model_character(number));
    model_step(&state, &number, scores);
  }
  putchar('\n');
  return 0;
}
