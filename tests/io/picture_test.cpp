// Text in pictures.
#include "src/io/picture.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace convoy::testing {
namespace {

/// '#' for black, a line per row.
std::string drawn(const std::string& text, int height, int width, bool upwards = false) {
  Picture picture = plain_picture(height, width, 1, 255);
  draw_text(picture, 0, 0, text, upwards);
  std::string out;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x)
      out += picture.pixels[static_cast<std::size_t>(y * width + x)] == 0 ? '#' : '.';
    out += '\n';
  }
  return out;
}

TEST(PictureText, DrawsLetters) {
  EXPECT_EQ(drawn("LT", 8, 11),
            "#.....#####\n"
            "#.....#.#.#\n"
            "#.......#..\n"
            "#.......#..\n"
            "#.......#..\n"
            "#.......#..\n"
            "#####...#..\n"
            "...........\n");
  EXPECT_EQ(drawn("L", 5, 8, true),
            "......#.\n"
            "......#.\n"
            "......#.\n"
            "......#.\n"
            "#######.\n");
}

TEST(PictureText, EveryCharacterHasAShapeOfItsOwn) {
  std::vector<std::string> shapes;
  for (char c = ' '; c <= '~'; ++c) shapes.push_back(drawn(std::string(1, c), 8, 5));
  std::sort(shapes.begin(), shapes.end());
  EXPECT_EQ(std::adjacent_find(shapes.begin(), shapes.end()), shapes.end());
}

TEST(PictureText, OtherCharactersAreQuestionMarks) {
  EXPECT_EQ(drawn("\xC3\xA9", 8, 12), drawn("?", 8, 12));  // one of two bytes
  EXPECT_EQ(text_width("na\xC3\xAFve"), text_width("naive"));
  EXPECT_EQ(text_width(""), 0);
  EXPECT_EQ(shortened("\xE2\x82\xAC"
                      "uro",
                      9),
            "?uro");
  EXPECT_EQ(shortened("African elephant", 8), "African.");
}

TEST(PictureText, WhatReachesBeyondTheEdgeIsLeftOut) {
  Picture picture = plain_picture(4, 4, 3, 255);
  draw_text(picture, -3, 2, "MMM");
  draw_text(picture, 2, -30, "MMM", true);
  EXPECT_EQ(picture.pixels.size(), 48u);
  Picture part = plain_picture(3, 3, 3, 7);
  paste(picture, -2, -2, part);
  paste(picture, 3, 3, part);
  paste(picture, 9, 9, part);
  EXPECT_EQ(picture.pixels[0], 7);
  EXPECT_EQ(picture.pixels[47], 7);
  EXPECT_EQ(picture.pixels[3 * 5], 255);
}

}  // namespace
}  // namespace convoy::testing
