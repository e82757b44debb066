// The same arithmetic as centre_box(), resize() and to_gray() of src/io/resize.h. Pixels may differ by one
// level of 255, where a sum lies half-way between two and float rounds it otherwise than integers do.
#include "src/export/onnx_pictures.h"

namespace convoy {
namespace {

constexpr std::int64_t float_type = onnx::TensorProto::FLOAT, int64_type = onnx::TensorProto::INT64;

class PictureWriter {
 public:
  PictureWriter(OnnxModel& model, ImageSize out)
      : model_(model), out_(model.numbers({out.height, out.width})), axes_(model.numbers({2, 3})) {}

  /// (H',W') to resize to: whole numbers, rounded down, as torchvision's Resize has them.
  std::string resized_size(const std::string& images, const PictureView& view) {
    onnx::NodeProto& shape = model_.emit("Shape", {images}, "pictures.size");  // (H,W)
    OnnxModel::set(shape, "start", std::int64_t{1});
    OnnxModel::set(shape, "end", std::int64_t{3});
    OnnxModel::set(model_.emit("ReduceMin", {"pictures.size"}, "pictures.shorter"), "keepdims",
                   std::int64_t{0});
    model_.emit("Mul", {"pictures.size", model_.numbers({view.shorter})}, "pictures.scaled");
    model_.emit("Div", {"pictures.scaled", "pictures.shorter"}, "resize.size");
    return view.own_size_as_is ? unless_own("resize.size") : "resize.size";
  }

  /// float (N,3,H,W) -> (N,3,H',W'), antialiased.
  std::string resize(const std::string& pixels, const std::string& size) {
    onnx::NodeProto& resize = model_.emit("Resize", {pixels, "", "", size}, "resize");
    OnnxModel::set(resize, "mode", std::string("linear"));
    OnnxModel::set(resize, "coordinate_transformation_mode", std::string("half_pixel"));
    OnnxModel::set(resize, "antialias", std::int64_t{1});
    OnnxModel::set(resize, "axes", OnnxModel::Ints{2, 3});
    return "resize";
  }

  /// The middle of it. Half a pixel goes to the even side, as Round has it.
  std::string crop(const std::string& pixels, const std::string& size) {
    model_.emit("Sub", {size, out_}, "crop.margins");
    cast("crop.margins", float_type, "crop.margins.float");
    model_.emit("Mul", {"crop.margins.float", model_.number(0.5f)}, "crop.half");
    model_.emit("Round", {"crop.half"}, "crop.rounded");
    cast("crop.rounded", int64_type, "crop.begin");
    model_.emit("Add", {"crop.begin", out_}, "crop.end");
    return model_.emit("Slice", {pixels, "crop.begin", "crop.end", axes_}, "crop").name();
  }

  /// To levels of 8 bits, halves up.
  std::string to_levels(const std::string& pixels, const std::string& name) {
    model_.emit("Add", {pixels, model_.number(0.5f)}, name + ".half");
    return model_.emit("Floor", {name + ".half"}, name).name();
  }

  /// (N,3,H,W) -> (N,1,H,W). Sums of whole numbers below 2^24, which float holds to the bit.
  std::string luma(const std::string& levels) {
    const std::string weights =
        model_.constant("luma.weights", {1, 3, 1, 1}, std::vector<float>{19595, 38470, 7471});
    model_.emit("Mul", {levels, weights}, "luma.terms");
    model_.emit("ReduceSum", {"luma.terms", model_.numbers({1})}, "luma.sum");
    model_.emit("Mul", {"luma.sum", model_.number(1.0f / 65536)}, "luma.scaled");
    return to_levels("luma.scaled", "luma");
  }

  /// u8 (N,H,W,1 or 3) -> float (N,3,H,W).
  std::string channels_first(const std::string& images) {
    model_.emit("Expand", {images, model_.numbers({1, 1, 1, 3})}, "pictures.rgb");
    OnnxModel::set(model_.emit("Transpose", {"pictures.rgb"}, "pictures.channels_first"), "perm",
                   OnnxModel::Ints{0, 3, 1, 2});
    return cast("pictures.channels_first", float_type, "pictures.float");
  }

 private:
  std::string cast(const std::string& from, std::int64_t type, const std::string& name) {
    OnnxModel::set(model_.emit("Cast", {from}, name), "to", type);
    return name;
  }
  std::string unless_own(const std::string& size) {
    model_.emit("Sub", {"pictures.size", out_}, "pictures.excess");
    model_.emit("Abs", {"pictures.excess"}, "pictures.distance");
    OnnxModel::set(model_.emit("ReduceMax", {"pictures.distance"}, "pictures.largest_distance"), "keepdims",
                   std::int64_t{0});
    model_.emit("Equal", {"pictures.largest_distance", model_.constant("zero", {}, OnnxModel::Ints{0})},
                "pictures.own_size");
    return model_.emit("Where", {"pictures.own_size", out_, size}, "resize.or_own_size").name();
  }

  OnnxModel& model_;
  const std::string out_, axes_;
};

}  // namespace

std::string show_pictures(OnnxModel& model, const std::string& images, const PictureView& view, ImageSize out,
                          int channels) {
  PictureWriter writer(model, out);
  const std::string size = writer.resized_size(images, view);
  const std::string resized = writer.resize(writer.channels_first(images), size);
  const std::string levels = writer.to_levels(writer.crop(resized, size), "levels");
  return channels == 1 ? writer.luma(levels) : levels;
}

}  // namespace convoy
