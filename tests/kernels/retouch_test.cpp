// Changes of pictures in bytes: against torchvision, on every engine, and in front of Augment.
#include "kernels/retouch.h"

#include <atomic>
#include <barrier>
#include <cmath>
#include <map>
#include <memory>
#include <thread>

#include "kernels/retouch_pixels.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/named_values.h"
#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

using Bytes = std::vector<std::uint8_t>;

const GoldenFile& golden() {
  static const GoldenFile file = read_golden("retouch.safetensors");
  return file;
}
std::vector<std::string> golden_names(const std::string& op) {
  std::vector<std::string> names;
  for (const auto& [name, attributes] : golden().cases)
    if (attributes.at("op") == op) names.push_back(name);
  return names;
}

FeatureShape shape_of(const nlohmann::json& attributes) {
  const std::vector<int> shape = attributes.at("shape");  // C,H,W
  return {1, shape[1], shape[2], shape[0]};
}
/// As make_retouch.py makes it, (H,W,C).
Bytes picture_of(const FeatureShape& image, int low, int high) {
  const NamedBits bits("retouch");
  Bytes picture(static_cast<std::size_t>(image.count()));
  for (int c = 0; c < image.c; ++c) {
    for (int h = 0; h < image.h; ++h) {
      for (int w = 0; w < image.w; ++w) {
        const auto noise =
            static_cast<int>(bits[static_cast<std::uint64_t>((c * image.h + h) * image.w + w)] >> 56);
        const int value = (3 * ((5 * h + 3 * w + 40 * c) % 256) + noise) / 4;
        picture[static_cast<std::size_t>((h * image.w + w) * image.c + c)] =
            static_cast<std::uint8_t>(low + value * (high - low) / 255);
      }
    }
  }
  return picture;
}

Bytes changed(Bytes picture, const PictureChange& change, const FeatureShape& image) {
  RetouchScratch scratch;
  Bytes other(picture.size());
  apply_change(SoloTeam{}, change, image, picture.data(), other.data(), scratch);
  return needs_second_picture(change.effect) ? other : picture;
}

PictureChange change_of(const nlohmann::json& attributes, const FeatureShape& image) {
  const std::string effect = attributes.at("effect");
  const auto factor = [&] { return attributes.at("factor").get<double>(); };
  if (effect == "posterize") return posterized(attributes.at("bits"));
  if (effect == "solarize") return solarized(attributes.at("threshold"));
  if (effect == "grayscale") return change_by(Effect::grayscale, 1);
  if (effect == "autocontrast") return change_by(Effect::autocontrast, 1);
  if (effect == "equalize") return change_by(Effect::equalize, 1);
  if (effect == "brightness") return change_by(Effect::brightness, factor());
  if (effect == "contrast") return change_by(Effect::contrast, factor());
  if (effect == "saturation") return change_by(Effect::saturation, factor());
  if (effect == "sharpness") return change_by(Effect::sharpness, factor());
  if (effect == "blur") return blurred(attributes.at("kernel"), attributes.at("sigma"));
  if (effect == "rotate") return rotation(attributes.at("degrees"), image);
  EXPECT_EQ(effect, "affine");
  const std::vector<double> shift = attributes.at("translate"), shear = attributes.at("shear");
  AffineMotion motion;
  motion.turn = Turn(attributes.at("degrees").get<double>());
  motion.shift_x = shift[0], motion.shift_y = shift[1];
  motion.scale = attributes.at("scale");
  motion.shear_x = Turn(shear[0]).tangent(), motion.shear_y = Turn(shear[1]).tangent();
  return affine_change(motion, image);
}

// Each byte is torchvision's. Of a blur it may be a neighbour, where the filtered value lies halfway between
// two bytes but for rounding: torchvision adds in float32, in an order of its own.
TEST(RetouchGolden, ChangesAreTorchvisions) {
  int cases = 0, blurred_values = 0, neighbours = 0;
  for (const std::string& name : golden_names("change")) {
    const nlohmann::json& attributes = golden().attributes(name);
    const FeatureShape image = shape_of(attributes);
    const Bytes picture = changed(picture_of(image, attributes.at("low"), attributes.at("high")),
                                  change_of(attributes, image), image);
    const Values& expected = golden().at(name + "/result");
    ASSERT_EQ(picture.size(), expected.size()) << name;
    ++cases;
    const bool blurs = attributes.at("effect") == "blur";
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double distance = std::abs(picture[i] - expected[i]);
      ASSERT_LE(distance, blurs ? 1 : 0) << name << ", value " << i;
      blurred_values += blurs ? 1 : 0;
      neighbours += distance > 0 ? 1 : 0;
    }
  }
  EXPECT_GT(cases, 100);
  EXPECT_GT(blurred_values, 10000);
  EXPECT_LE(neighbours, blurred_values / 10000);
}

TEST(RetouchGolden, EveryMagnitudeOfTrivialAndRandAugmentIsTorchvisions) {
  for (const std::string& name : golden_names("auto")) {
    const nlohmann::json& attributes = golden().attributes(name);
    const FeatureShape image = shape_of(attributes);
    const Bytes picture = picture_of(image, 0, 255);
    const Values& hashes = golden().at(name + "/hashes");
    ASSERT_EQ(hashes.size(), static_cast<std::size_t>(auto_operations * magnitude_bins * 2));
    std::size_t next = 0;
    for (int which = 0; which < auto_operations; ++which) {
      for (int bin = 0; bin < magnitude_bins; ++bin) {
        for (const bool negative : {false, true}) {
          std::uint32_t hash = 0x811C9DC5u;
          for (const std::uint8_t byte :
               changed(picture, auto_change(attributes.at("wide"), which, bin, negative, image), image))
            hash = (hash ^ byte) * 0x01000193u;
          EXPECT_EQ(static_cast<std::int32_t>(hash), static_cast<std::int32_t>(hashes[next++]))
              << name << ", operation " << which << ", magnitude " << bin << (negative ? ", downwards" : "");
        }
      }
    }
  }
}

TEST(Retouch, TurnsAndExponentialsAreExactToAFewUnits) {
  for (double degrees = -720; degrees <= 720; degrees += 0.37) {
    const Turn turn(degrees);
    EXPECT_NEAR(turn.cosine, std::cos(degrees * M_PI / 180), 4e-15) << degrees;
    EXPECT_NEAR(turn.sine, std::sin(degrees * M_PI / 180), 4e-15) << degrees;
  }
  EXPECT_EQ(Turn(90).cosine, 0);
  EXPECT_EQ(Turn(-180).cosine, -1);
  for (double t = 0; t < 64; t += 0.13) EXPECT_NEAR(exp_of_minus(t) / std::exp(-t), 1, 1e-12) << t;
}

// ---- on every engine ----

constexpr int samples = 23, slot_rows = 15;

PictureOperation operation(PictureOp op, float probability = 1) {
  PictureOperation o;
  o.op = op, o.probability = probability;
  return o;
}
/// One of each kind, each of which changes some images.
std::vector<PictureOperation> all_operations() {
  using enum PictureOp;
  std::vector<PictureOperation> all;
  for (int op = 0; op < picture_ops; ++op) all.push_back(operation(static_cast<PictureOp>(op), 0.7f));
  const auto at = [&](PictureOp op) -> PictureOperation& { return all[static_cast<std::size_t>(op)]; };
  at(rotate).degrees = 25;
  PictureOperation& motion = at(affine);
  motion.degrees = 10, motion.translate_x = 0.2f, motion.translate_y = 0.3f;
  motion.min_scale = 0.8f, motion.max_scale = 1.2f, motion.shear_x = 15, motion.shear_y = 5;
  at(gaussian_blur).kernel = 5;
  at(posterize).bits = 4;
  at(solarize).threshold = 140;
  at(sharpness).factor = 1.8f;
  return all;
}

struct Place {
  FeatureShape image;
  int n = 0;
  bool resident = true;
  int crop_pad = 0;
  PadMode pad_mode = PadMode::zero;
  Flip flip = Flip::none;
  bool blends = false;
};

Retouch retouch_call(OpCase& op, const Place& place, const std::vector<PictureOperation>& operations) {
  op.state.seed = 99, op.state.epoch = 4, op.state.first = 3, op.state.slot = 1;
  Retouch call;
  call.n = place.n, call.first = 2, call.image = place.image, call.resident = place.resident;
  call.crop_pad = place.crop_pad, call.pad_mode = place.pad_mode, call.flip = place.flip;
  call.blends = place.blends, call.after = 1;
  for (const PictureOperation& o : operations) call.operations[call.operation_count++] = o;
  const std::int64_t rows = place.resident ? samples : staging_slots * std::int64_t{slot_rows};
  call.images = op.input("images", integers(rows * place.image.count(), 256, 1), DType::u8);
  call.order = op.input("order", integers(3 + 2 + place.n, samples, 3), DType::i32);
  call.pictures = op.result("pictures", call.rows() * place.image.count(), DType::u8);
  return call;
}
OpCase retouch_case(const std::string& name, const Place& place,
                    const std::vector<PictureOperation>& operations) {
  OpCase op;
  op.name = name;
  const Retouch call = retouch_call(op, place, operations);
  op.calls = {call};
  return op;
}

std::vector<OpCase> retouch_cases() {
  const Place colours{{1, 12, 11, 3}, 17, true, 2, PadMode::reflect, Flip::both, false};
  const Place staged{{1, 9, 13, 3}, 14, false, 1, PadMode::zero, Flip::vertical, true};
  const Place gray{{1, 28, 28, 1}, 16, true, 0, PadMode::zero, Flip::none, true};
  const Place large{{1, 67, 50, 3}, 21, true, 4, PadMode::reflect, Flip::horizontal, false};
  std::vector<OpCase> cases;
  for (const PictureOperation& o : all_operations()) {
    const std::string name = name_of(o.op);
    cases.push_back(retouch_case(name, colours, {o}));
    cases.push_back(retouch_case(name + "_of_gray", gray, {o}));
  }
  cases.push_back(retouch_case("all", colours, all_operations()));
  cases.push_back(retouch_case("all_staged", staged, all_operations()));
  cases.push_back(retouch_case("all_of_gray", gray, all_operations()));
  cases.push_back(retouch_case("all_large", large, all_operations()));
  cases.push_back(retouch_case("crop_and_flip_alone", colours, {}));
  cases.push_back(retouch_case("no_image", {{1, 6, 5, 3}, 0, true, 1, PadMode::zero, Flip::both, true},
                               all_operations()));
  PictureOperation wide_blur = operation(PictureOp::gaussian_blur);
  wide_blur.kernel = Retouch::max_kernel, wide_blur.min_sigma = 9, wide_blur.max_sigma = 15;
  cases.push_back(retouch_case("wide_blur_in_parts", {{1, 33, 1100, 3}, 2}, {wide_blur}));
  PictureOperation often = operation(PictureOp::rand_augment);
  often.count = Retouch::max_count, often.magnitude = 30;
  cases.push_back(retouch_case("as_many_as_can_be", colours, {often}));
  PictureOperation motion = operation(PictureOp::rotate), bits = operation(PictureOp::posterize);
  motion.degrees = 180, bits.bits = 2;
  cases.push_back(
      retouch_case("four_channels", {{1, 10, 9, 4}, 9}, {motion, bits, operation(PictureOp::equalize)}));
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Retouch, OpTest, ::testing::ValuesIn(retouch_cases()),
                         [](const auto& instance) { return instance.param.name; });

/// Augment of a place, and before it Retouch where `retouched`.
std::vector<Values> augmented(const Place& place, bool retouched,
                              const std::vector<PictureOperation>& operations, EngineKind kind) {
  OpCase op;
  op.name = retouched ? "retouched" : "augmented";
  const Retouch before = retouch_call(op, place, operations);
  Augment call;
  call.n = place.n, call.first = before.first, call.image = place.image;
  call.jitter = {0.4f, 0.5f, 0.6f, place.image.c == 3 ? 0.1f : 0.0f}, call.erasing.probability = 0.5f;
  call.blends = place.blends, call.after = before.after;
  op.state.blend = {0.3f, 0.3f, 0, 0, 100, 100};
  call.order = before.order;
  call.labels = op.input("labels", integers(samples, 10, 2), DType::i32);
  call.scale = op.input("scale", uniform(place.image.c, 1, 4, 4));
  call.shift = op.input("shift", uniform(place.image.c, -1, 1, 5));
  call.x = op.result("x", place.n * place.image.count());
  call.y = op.result("y", place.n, DType::i32);
  if (call.blends) call.y_partner = op.result("y_partner", place.n, DType::i32);
  call.resident = !retouched && place.resident, call.retouched = retouched;
  call.images = retouched ? before.pictures : before.images;
  if (!retouched) call.crop_pad = place.crop_pad, call.pad_mode = place.pad_mode, call.flip = place.flip;
  op.calls = {before, call};
  std::vector<Values> values = OpRunner(op, kind).run();
  return {values[static_cast<std::size_t>(call.x.offset)], values[static_cast<std::size_t>(call.y.offset)],
          call.blends ? values[static_cast<std::size_t>(call.y_partner.offset)] : Values{}};
}

TEST(Retouch, LeavesToAugmentWhatItWouldHaveMade) {
  const std::vector<Place> places{{{1, 12, 11, 3}, 17, true, 2, PadMode::reflect, Flip::both, true},
                                  {{1, 9, 13, 3}, 14, false, 1, PadMode::zero, Flip::vertical, true},
                                  {{1, 9, 13, 1}, 14, false, 0, PadMode::zero, Flip::horizontal, false},
                                  {{1, 6, 5, 3}, 1, true, 1, PadMode::zero, Flip::both, true}};
  for (const Place& place : places) {
    for (const EngineKind kind : {EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda}) {
      if (kind == EngineKind::cuda && cuda_device_count() == 0) continue;
      const auto plain = augmented(place, false, {}, kind);
      EXPECT_EQ(augmented(place, true, {}, kind), plain) << place.n << " images";
      EXPECT_NE(augmented(place, true, all_operations(), kind)[0], plain[0]) << "shows that it can differ";
    }
  }
}

// ---- in a team, as on CUDA ----

class ThreadTeam {
 public:
  ThreadTeam(int rank, int size, std::barrier<>* meeting) : rank_(rank), size_(size), meeting_(meeting) {}
  int rank() const { return rank_; }
  int size() const { return size_; }
  void barrier() const { meeting_->arrive_and_wait(); }
  template <class T>
  static void add(T* total, T value) {
    std::atomic_ref<T>(*total).fetch_add(value);
  }

 private:
  int rank_, size_;
  std::barrier<>* meeting_;
};

TEST(Retouch, ATeamMakesWhatOneThreadDoes) {
  constexpr int size = 5, pictures = 12;
  Retouch call;
  call.n = pictures, call.image = {1, 11, 13, 3}, call.crop_pad = 2, call.flip = Flip::both;
  for (const PictureOperation& o : all_operations()) call.operations[call.operation_count++] = o;
  StepState state;
  state.seed = 5, state.epoch = 2;
  const auto bytes = static_cast<std::size_t>(call.image.count());
  Bytes images;
  std::vector<std::int32_t> order;
  for (int i = 0; i < pictures; ++i) {
    const Bytes picture = picture_of(call.image, i, 255 - i);
    images.insert(images.end(), picture.begin(), picture.end());
    order.push_back(i);
  }
  const auto retouched = [&](const auto& team, Bytes& out, Bytes& spare, RetouchScratch& scratch) {
    for (int i = 0; i < pictures; ++i)
      retouch_row(team, call, 0, state, images.data(), order.data(), i, out.data() + i * call.image.count(),
                  spare.data(), scratch);
  };
  Bytes expected(bytes * pictures), actual(bytes * pictures), spare(bytes);
  const auto scratch = std::make_unique<RetouchScratch>();
  retouched(SoloTeam{}, expected, spare, *scratch);
  std::barrier<> meeting(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] { retouched(ThreadTeam(rank, size, &meeting), actual, spare, *scratch); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(actual, expected);
  EXPECT_NE(expected, images);
}

// ---- what is drawn ----

constexpr int draws = 6000;

std::vector<PictureChange> drawn(const std::vector<PictureOperation>& operations, int sample, int epoch = 3) {
  Retouch call;
  call.image = {1, 40, 30, 3};
  for (const PictureOperation& o : operations) call.operations[call.operation_count++] = o;
  StepState state;
  state.seed = 7, state.epoch = epoch;
  std::vector<PictureChange> changes(max_changes);
  changes.resize(static_cast<std::size_t>(draw_changes(call, state, sample, changes.data())));
  return changes;
}

TEST(RetouchDraws, EachOperationMeetsItsShareOfImages) {
  PictureOperation gray = operation(PictureOp::grayscale, 0.1f), solar = operation(PictureOp::solarize, 0.5f);
  solar.threshold = 99;
  int grays = 0, solars = 0, both = 0;
  for (int sample = 0; sample < draws; ++sample) {
    int here = 0;
    for (const PictureChange& change : drawn({gray, solar}, sample)) {
      (change.effect == Effect::grayscale ? grays : solars) += 1, ++here;
      if (change.effect == Effect::solarize) {
        EXPECT_EQ(change.value, 99);
      }
    }
    both += here == 2 ? 1 : 0;
  }
  EXPECT_NEAR(grays, 0.1 * draws, 0.02 * draws);
  EXPECT_NEAR(solars, 0.5 * draws, 0.03 * draws);
  EXPECT_NEAR(both, 0.05 * draws, 0.015 * draws) << "each is drawn by itself";
}

TEST(RetouchDraws, KeepTheListsOrderAndDoNotDependOnIt) {
  PictureOperation rotate = operation(PictureOp::rotate), blur = operation(PictureOp::gaussian_blur);
  rotate.degrees = 50;
  for (int sample = 0; sample < 50; ++sample) {
    const auto one = drawn({rotate, blur}, sample), other = drawn({blur, rotate}, sample);
    ASSERT_EQ(one.size(), 2u);
    ASSERT_EQ(other.size(), 2u);
    EXPECT_EQ(one[0].effect, Effect::affine);
    EXPECT_EQ(other[0].effect, Effect::blur);
    EXPECT_EQ(one[1].value, other[0].value);
    EXPECT_EQ(one[0].place[0], other[1].place[0]);
    EXPECT_NE(one[1].value, drawn({blur}, sample, 4)[0].value) << "in each epoch";
    EXPECT_NE(one[1].value, drawn({blur}, sample + 1)[0].value) << "for each image";
  }
}

/// Of an affine change without shear: its angle in degrees, and where the middle comes from in pixels.
struct Motion {
  Motion(const PictureChange& change, int width, int height)
      : degrees(std::atan2(static_cast<double>(change.place[1]) * width,
                           static_cast<double>(change.place[0]) * width) *
                180 / M_PI),
        size(std::hypot(static_cast<double>(change.place[0]), static_cast<double>(change.place[1])) * width /
             2),
        x(static_cast<double>(change.place[2]) * width / 2),
        y(static_cast<double>(change.place[5]) * height / 2) {}
  double degrees, size, x, y;
};

TEST(RetouchDraws, MotionsAreUniformWithinTheirRanges) {
  PictureOperation rotate = operation(PictureOp::rotate), shift = operation(PictureOp::affine),
                   scale = operation(PictureOp::affine);
  rotate.degrees = 40, shift.translate_x = 0.2f, shift.translate_y = 0.5f;
  scale.min_scale = 0.5f, scale.max_scale = 2;
  double most = 0, mean = 0, left = 0, down = 0, smallest = 9, largest = 0;
  for (int sample = 0; sample < draws; ++sample) {
    const Motion turned(drawn({rotate}, sample)[0], 30, 40), moved(drawn({shift}, sample)[0], 30, 40),
        sized(drawn({scale}, sample)[0], 30, 40);
    most = std::max(most, std::abs(turned.degrees)), mean += turned.degrees / draws;
    left = std::max(left, moved.x), down = std::min(down, moved.y);
    EXPECT_NEAR(moved.x, std::rint(moved.x), 1e-4) << "whole pixels";
    smallest = std::min(smallest, 1 / sized.size), largest = std::max(largest, 1 / sized.size);
  }
  EXPECT_NEAR(most, 40, 0.1);
  EXPECT_NEAR(mean, 0, 1);
  EXPECT_NEAR(left, 6, 1e-4);
  EXPECT_NEAR(down, -20, 1e-4);
  EXPECT_NEAR(smallest, 0.5, 0.005);
  EXPECT_NEAR(largest, 2, 0.005);
}

TEST(RetouchDraws, TrivialAugmentTakesOneOfFourteenAtAnyMagnitude) {
  std::map<Effect, int> effects;
  int darker = 0;
  for (int sample = 0; sample < draws; ++sample) {
    const auto changes = drawn({operation(PictureOp::trivial_augment)}, sample);
    ASSERT_LE(changes.size(), 1u);
    const Effect effect = changes.empty() ? Effect::none : changes[0].effect;
    effects[effect] += 1;
    if (effect == Effect::brightness) darker += changes[0].value < 1 ? 1 : 0;
  }
  const double share = draws / 14.0;
  EXPECT_NEAR(effects[Effect::none], share, 0.25 * share);
  EXPECT_NEAR(effects[Effect::affine], 5 * share, 0.1 * 5 * share) << "two shears, two shifts, a turn";
  for (const Effect effect : {Effect::brightness, Effect::saturation, Effect::contrast, Effect::sharpness,
                              Effect::posterize, Effect::solarize, Effect::autocontrast, Effect::equalize})
    EXPECT_NEAR(effects[effect], share, 0.25 * share) << static_cast<int>(effect);
  EXPECT_NEAR(darker, 0.5 * effects[Effect::brightness], 0.1 * share + 20);
}

TEST(RetouchDraws, RandAugmentTakesAsManyAsAskedAtOneMagnitude) {
  PictureOperation three = operation(PictureOp::rand_augment);
  three.count = 3, three.magnitude = 30;
  double changes = 0;
  int alike = 0;
  for (int sample = 0; sample < draws; ++sample) {
    const auto here = drawn({three}, sample);
    changes += static_cast<double>(here.size()) / draws;
    alike += here.size() == 3 && here[0].effect == here[1].effect && here[1].effect == here[2].effect ? 1 : 0;
    for (const PictureChange& change : here) {
      if (change.effect == Effect::brightness) {
        EXPECT_NEAR(std::abs(change.value - 1), 0.9, 1e-6);
      }
    }
  }
  EXPECT_NEAR(changes, 3 * 13 / 14.0, 0.05) << "one of 14 leaves the image as it is";
  EXPECT_LT(alike, 0.1 * draws);
}

}  // namespace
}  // namespace convoy::testing
