// The schema of model.layers.
#include "src/config/schema.h"

namespace convoy {
namespace {

constexpr double widest = 1 << 20;
constexpr int most_layers = 10'000;  ///< of a list, inner ones included: what a few repeats of repeats exceed

Codec<AxisValues> axes(Interval range) {
  return one_or_list(number<int>(range), 1, 3);
}

/// `same` or numbers.
Codec<std::optional<AxisValues>> padding() {
  const Codec<AxisValues> numbers = axes(between(0, 1024));
  return {"same | " + numbers.type,
          [=](const Place& place) -> std::optional<AxisValues> {
            if (place.value.text == "same") return std::nullopt;
            if (place.value.kind == Value::Kind::scalar &&
                place.value.text.find_first_not_of("-.0123456789") == 0) {
              place.refuse("expected same | {}, got {}", numbers.type, describe(place.value));
            }
            return numbers.read(place);
          },
          [=](const std::optional<AxisValues>& pad) {
            return pad ? numbers.write(*pad) : Value::scalar("same");
          }};
}

/// A field of the layer's own struct, as a field of LayerConfig.
template <class L>
Field<LayerConfig> of_layer(Field<L> inner) {
  Field<LayerConfig> field;
  field.key = inner.key;
  field.type = inner.type;
  field.help = inner.help;
  field.required = inner.required;
  field.read = [read = inner.read](LayerConfig& target, const Place& place) {
    read(std::get<L>(target.layer), place);
  };
  field.write = [write = inner.write](const LayerConfig& source) { return write(std::get<L>(source.layer)); };
  return field;
}

template <class L>
Kind<LayerConfig> kind(std::string name, std::string help, L prototype, std::string short_key = "",
                       std::vector<Field<L>> fields = {}) {
  Kind<LayerConfig> result;
  result.name = std::move(name);
  result.help = std::move(help);
  result.table.short_key = std::move(short_key);
  for (Field<L>& inner : fields) result.table.fields.push_back(of_layer(std::move(inner)));
  result.prototype.layer = std::move(prototype);
  return result;
}

Kind<LayerConfig> with_init(Kind<LayerConfig> layer) {
  layer.table.fields.push_back(
      field("init", &LayerConfig::init,
            choice<InitScheme>(
                {{"he", InitScheme::he}, {"glorot", InitScheme::glorot}, {"dirac", InitScheme::dirac}}),
            "how the weights start"));
  return layer;
}

Kind<LayerConfig> conv_kind() {
  using C = ConvConfig;
  return with_init(kind<C>(
      "conv", "convolution", {}, "",
      {field("out", &C::out, number<int>(between(1, widest)), "output channels").require(),
       field("kernel", &C::kernel, axes(between(1, 1024)), "window, one number or one per axis").require(),
       field("stride", &C::stride, axes(between(1, 1024)), "step of the window"),
       field("pad", &C::pad, padding(), "zeros around the image"),
       field("dilation", &C::dilation, axes(between(1, 1024)), "distance between the window's taps"),
       field("bias", &C::bias, boolean(), "add a number per output channel")}));
}

Kind<LayerConfig> pool_kind(const char* name, const char* help, bool max) {
  using P = PoolConfig;
  P prototype;
  prototype.max = max;
  return kind<P>(
      name, help, prototype, "kernel",
      {field("kernel", &P::kernel, axes(between(1, 1024)), "window, one number or one per axis").require(),
       field("stride", &P::stride, axes(between(1, 1024)), "step of the window; none: the kernel"),
       field("pad", &P::pad, axes(between(0, 1024)),
             max ? "border, which is never the largest" : "border of zeros, which count")});
}

Kind<LayerConfig> activation_kind(const char* name, const char* help, Activation activation) {
  using A = ActivationConfig;
  A prototype;
  prototype.kind = activation;
  if (activation != Activation::leaky_relu) return kind<A>(name, help, prototype);
  return kind<A>(name, help, prototype, "slope",
                 {field("slope", &A::slope, number<float>(half_open(0, 1)), "slope below zero")});
}

std::vector<Kind<LayerConfig>> make_layer_kinds() {
  using B = BatchNormConfig;
  using L = LinearConfig;
  using D = DropoutConfig;
  using R = ResidualConfig;
  return {
      conv_kind(),
      with_init(kind<L>("linear", "fully connected", {}, "out",
                        {field("out", &L::out, number<int>(between(1, widest)), "output features").require(),
                         field("bias", &L::bias, boolean(), "add a number per output")})),
      pool_kind("maxpool", "largest of each window", true),
      pool_kind("avgpool", "mean of each window", false),
      kind<GlobalAvgPoolConfig>("globalavgpool", "mean over all pixels", {}),
      kind<B>("batchnorm", "batch normalisation", {}, "",
              {field("group", &B::group, number<int>(at_least(0)), "images per group; 0: the global batch"),
               field("momentum", &B::momentum, number<float>(Interval{.low = 0, .high = 1, .low_open = true}),
                     "weight of the newest batch in the running statistics"),
               field("epsilon", &B::epsilon, number<float>(above(0)), "added to the variance")}),
      activation_kind("relu", "max(x, 0)", Activation::relu),
      activation_kind("leaky_relu", "x, or slope x below zero", Activation::leaky_relu),
      activation_kind("gelu", "x times the normal distribution function", Activation::gelu),
      activation_kind("tanh", "hyperbolic tangent", Activation::tanh),
      activation_kind("sigmoid", "1 / (1 + exp(-x))", Activation::sigmoid),
      kind<D>("dropout", "zero a random share while training", {}, "rate",
              {field("rate", &D::rate, number<float>(half_open(0, 1)), "share that is dropped")}),
      kind<FlattenConfig>("flatten", "pixels and channels into one axis", {}),
      kind<R>("residual", "sum of two branches", {}, "body",
              {field("body", &R::body, layer_list(false), "first branch").require(),
               field("shortcut", &R::shortcut, layer_list(true), "second branch; none: identity")}),
  };
}

/// The variant's alternative and, for pools and activations, which of them.
const Kind<LayerConfig>& kind_of(const LayerConfig& layer) {
  for (const Kind<LayerConfig>& kind : layer_kinds()) {
    if (kind.prototype.layer.index() != layer.layer.index()) continue;
    if (const auto* pool = std::get_if<PoolConfig>(&layer.layer)) {
      if (std::get<PoolConfig>(kind.prototype.layer).max != pool->max) continue;
    }
    if (const auto* activation = std::get_if<ActivationConfig>(&layer.layer)) {
      if (std::get<ActivationConfig>(kind.prototype.layer).kind != activation->kind) continue;
    }
    return kind;
  }
  fail("internal error: a layer kind that the schema does not list");
}

std::size_t count(const std::vector<LayerConfig>& layers) {
  std::size_t sum = layers.size();
  for (const LayerConfig& layer : layers) {
    if (const auto* inner = std::get_if<ResidualConfig>(&layer.layer)) {
      sum += count(inner->body) + count(inner->shortcut);
    }
  }
  return sum;
}

/// Appends the layer, or the layers, that an entry of a list stands for.
void read_entry(const Place& entry, std::vector<LayerConfig>& layers) {
  const std::string& name = repeat_kind().name;
  if (entry.value.text != name && (entry.value.items.size() != 1 || entry.value.find(name) == nullptr)) {
    LayerConfig layer;
    read_kind(layer_kinds(), layer, entry, true, {name});
    layers.push_back(std::move(layer));
    return;
  }
  const bool word = entry.value.kind == Value::Kind::scalar;
  Value arguments = word ? Value::map() : entry.value.items[0];
  if (word) arguments.mark = entry.value.mark;
  Repeat repeat;
  read_table(repeat_kind().table, repeat, Place{arguments, entry.path + "." + name});
  if (count(layers) + count(repeat.layers) * static_cast<std::size_t>(repeat.times) > most_layers) {
    entry.refuse("more than {} layers", most_layers);
  }
  for (int time = 0; time < repeat.times; ++time) {
    layers.insert(layers.end(), repeat.layers.begin(), repeat.layers.end());
  }
}

}  // namespace

const std::vector<Kind<LayerConfig>>& layer_kinds() {
  static const std::vector<Kind<LayerConfig>> kinds = make_layer_kinds();
  return kinds;
}

const Kind<Repeat>& repeat_kind() {
  static const Kind<Repeat> kind = {
      .name = "repeat",
      .help = "its layers several times over, each time with parameters of their own",
      .table =
          {.fields = {field("times", &Repeat::times, number<int>(between(1, most_layers)), "how many times")
                          .require(),
                      field("layers", &Repeat::layers, layer_list(false), "the layers to repeat").require()},
           .check = {},
           .short_key = {}},
      .prototype = {}};
  return kind;
}

Codec<std::vector<LayerConfig>> layer_list(bool may_be_empty) {
  using Layers = std::vector<LayerConfig>;
  return {"list of layers",
          [=](const Place& place) {
            if (place.value.kind != Value::Kind::list) {
              place.refuse("expected a list of layers, got {}", describe(place.value));
            }
            Layers layers;
            const std::size_t entries = place.value.items.size();
            if (entries == 0 && !may_be_empty) place.refuse("expected at least one layer");
            Problems problems;
            for (std::size_t i = 0; i < entries; ++i) {
              problems.attempt([&] { read_entry(place.item(i), layers); });
            }
            problems.raise();
            return layers;
          },
          [](const Layers& layers) -> std::optional<Value> {
            if (layers.empty()) return std::nullopt;
            Value list = Value::list({});
            for (const LayerConfig& layer : layers) list.items.push_back(write_kind(kind_of(layer), layer));
            return list;
          }};
}

}  // namespace convoy
