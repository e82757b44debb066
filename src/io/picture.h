// Pictures that the program draws for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace convoy {

struct Picture {
  int height = 0, width = 0, channels = 1;  ///< 1: gray; 3: red, green, blue
  std::vector<std::uint8_t> pixels;         ///< (height,width,channels), rows from the top
};

/// One of `value` everywhere.
Picture plain_picture(int height, int width, int channels, std::uint8_t value);

/// Copies `part`, of the same channels, with its upper left corner to (top, left); what reaches beyond the
/// edges is left out.
void paste(Picture& picture, int top, int left, const Picture& part);

/// Text is drawn in a font of 5 x 7 pixels for ASCII; any other character is a question mark.
inline constexpr int text_height = 8;  ///< with what hangs below the line
/// Of a text in pixels.
int text_width(const std::string& text);
/// Cut to so many characters, the last of which is then a full stop.
std::string shortened(const std::string& text, int characters);
/// Draws it in black with its upper left corner at (top, left); upwards: turned, to be read from below.
void draw_text(Picture& picture, int top, int left, const std::string& text, bool upwards = false);

}  // namespace convoy
