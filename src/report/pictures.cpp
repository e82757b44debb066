#include "src/report/pictures.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/ceil_div.h"
#include "src/report/evaluation.h"
#include "src/report/evaluation_files.h"

namespace convoy {

Picture contact_sheet(const std::vector<Picture>& pictures, int scale) {
  check(!pictures.empty() && scale > 0, "pictures to put side by side");
  const Picture& first = pictures.front();
  const int columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(pictures.size()))));
  const int rows = ceil_div(static_cast<int>(pictures.size()), columns);
  const int row_pitch = first.height * scale + 1, column_pitch = first.width * scale + 1;
  Picture sheet = plain_picture(rows * row_pitch - 1, columns * column_pitch - 1, first.channels, 255);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Picture& picture = pictures[i];
    check(
        picture.height == first.height && picture.width == first.width && picture.channels == first.channels,
        "pictures of one size");
    const int top = static_cast<int>(i) / columns * row_pitch,
              left = static_cast<int>(i) % columns * column_pitch;
    for (int y = 0; y < picture.height * scale; ++y) {
      for (int x = 0; x < picture.width * scale; ++x) {
        const auto from = (std::int64_t{y / scale} * picture.width + x / scale) * picture.channels;
        const auto to = (std::int64_t{top + y} * sheet.width + left + x) * sheet.channels;
        std::copy_n(picture.pixels.begin() + from, picture.channels, sheet.pixels.begin() + to);
      }
    }
  }
  return sheet;
}

const Parameter* first_filters(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    const auto* conv = std::get_if<op::Conv>(&node.op);
    if (conv == nullptr) continue;
    const Parameter& weight = graph.parameters[static_cast<std::size_t>(conv->weight)];  // (K,T,R,S,C)
    const bool is_image = weight.dims.size() == 5 && weight.dims[1] == 1;
    return is_image && (weight.dims[4] == 1 || weight.dims[4] == 3) ? &weight : nullptr;
  }
  return nullptr;
}

Picture filter_picture(const Parameter& filters, std::span<const double> weights) {
  const auto [least, largest] = std::minmax_element(weights.begin(), weights.end());
  const double from = *least, range = std::max(*largest - from, 1e-30);
  const int height = static_cast<int>(filters.dims[2]), width = static_cast<int>(filters.dims[3]);
  const int channels = static_cast<int>(filters.dims[4]);
  const auto size =
      static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
  std::vector<Picture> tiles;
  for (std::size_t first = 0; first < weights.size(); first += size) {
    Picture& tile = tiles.emplace_back(Picture{height, width, channels, {}});
    for (const double weight : weights.subspan(first, size)) {
      const double level = 255 * (weight - from) / range;
      tile.pixels.push_back(static_cast<std::uint8_t>(std::isfinite(level) ? std::lround(level) : 0));
    }
  }
  return contact_sheet(tiles, std::max(1, 48 / std::max(height, width)));
}

Picture image_picture(const FeatureShape& shape, std::span<const std::uint8_t> pixels) {
  check(static_cast<std::int64_t>(pixels.size()) == shape.count(), "the pixels of one image");
  const auto area = static_cast<std::size_t>(shape.h) * static_cast<std::size_t>(shape.w);
  const auto channels = static_cast<std::size_t>(shape.c);
  const auto slice = pixels.subspan(static_cast<std::size_t>(shape.d / 2) * area * channels, area * channels);
  Picture picture{shape.h, shape.w, shape.c == 3 ? 3 : 1, {}};
  const auto shown = static_cast<std::size_t>(picture.channels);
  for (std::size_t pixel = 0; pixel < area; ++pixel) {
    for (std::size_t channel = 0; channel < shown; ++channel)
      picture.pixels.push_back(slice[pixel * channels + channel]);
  }
  return picture;
}

std::int64_t count_overflows(const Predictions& predictions) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) {
    const std::span<const double> logits = logits_of(predictions, i);
    count += !std::all_of(logits.begin(), logits.end(), [](double logit) { return std::isfinite(logit); });
  }
  return count;
}

Picture confusion_picture(int classes, std::span<const std::int64_t> counts,
                          const std::vector<std::string>& names) {
  std::vector<Picture> cells;
  const auto width = static_cast<std::size_t>(classes);
  for (std::size_t row = 0; row < width; ++row) {
    const auto of_row = counts.subspan(row * width, width);
    const auto all = static_cast<double>(
        std::max<std::int64_t>(std::accumulate(of_row.begin(), of_row.end(), std::int64_t{0}), 1));
    for (const std::int64_t count : of_row) {
      // The root, so that one image in a hundred shows. From white to a dark blue.
      const double share = std::sqrt(static_cast<double>(count) / all);
      const auto shade = [&](double dark) {
        return static_cast<std::uint8_t>(std::lround(255 + share * (dark - 255)));
      };
      cells.push_back({1, 1, 3, {shade(8), shade(48), shade(107)}});
    }
  }
  constexpr int most_named = 200, longest_label = 20, gap = 4;
  const bool named = classes <= most_named;
  const int cell = std::clamp(512 / classes, named ? text_height : 2, 32);
  const Picture matrix = contact_sheet(cells, cell);
  if (!named) return matrix;
  const auto label_of = [&](int label) { return shortened(name_of_class(names, label), longest_label); };
  int margin = 0;
  for (int label = 0; label < classes; ++label) margin = std::max(margin, text_width(label_of(label)));
  margin += 2 * gap;
  Picture picture = plain_picture(margin + matrix.height + gap, margin + matrix.width + gap, 3, 255);
  paste(picture, margin, margin, matrix);
  for (int label = 0; label < classes; ++label) {
    const std::string text = label_of(label);
    const int middle = margin + label * (cell + 1) + (cell - text_height) / 2;
    draw_text(picture, middle, margin - gap - text_width(text), text);
    draw_text(picture, margin - gap - text_width(text), middle, text, /*upwards=*/true);
  }
  return picture;
}

std::vector<Mistake> worst_mistakes(const Predictions& predictions, std::size_t most) {
  std::vector<Mistake> mistakes;
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) {
    const std::span<const double> logits = logits_of(predictions, i);
    const int label = predictions.labels[i], answer = answer_of(logits);
    if (answer == label) continue;
    const double all = log_sum(logits);
    const auto probability = [&](int of) {  // 0 of scores that overflow: these come first
      return probability_of(logits[static_cast<std::size_t>(of)], all);
    };
    mistakes.push_back(
        {static_cast<std::int64_t>(i), label, answer, probability(answer), probability(label)});
  }
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.of_label < b.of_label; });
  mistakes.resize(std::min(mistakes.size(), most));
  return mistakes;
}

namespace {

/// Text in a cell of a table in Markdown, which takes these characters as marks of its own.
std::string in_cell(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) {
    if (std::strchr("|`*_<>[]&\\", c) != nullptr) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string list_of(const std::vector<Mistake>& mistakes, const std::vector<std::string>& names) {
  std::string out = "| | validation image | is | taken for | with probability |\n|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    const Mistake& mistake = mistakes[i];
    out += fmt::format("| {} | {} | {} | {} | {:.4f} |\n", i + 1, mistake.image,
                       in_cell(name_of_class(names, mistake.label)),
                       in_cell(name_of_class(names, mistake.answer)), mistake.certainty);
  }
  return out;
}

}  // namespace convoy
