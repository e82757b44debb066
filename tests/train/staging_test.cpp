// Data that is staged batch by batch gives the bits of data that is resident, whenever the engine copies it.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <thread>

#include "tests/train/support.h"

namespace convoy::testing {
namespace {

/// Does what it is asked at the moment of an engine's contract that is worst for its caller.
class Untimely final : public Engine {
 public:
  enum class Order {
    late,  ///< uploads and runs as late as allowed: too late for staging memory that was rewritten too soon
    early  ///< uploads before all runs that do not read their slot: too early for a slot that overlaps
           ///< another
  };
  Untimely(std::unique_ptr<Engine> engine, Order order) : engine_(std::move(engine)), order_(order) {}

  std::uint8_t* staging_memory(std::size_t bytes) override {
    std::uint8_t* memory = engine_->staging_memory(bytes);
    staging_.push_back({memory, memory + bytes});
    return memory;
  }
  void upload(int slot, const Tensor& rows, const std::uint8_t* staged) override {
    const bool late = order_ == Order::late;
    finish([&](const Task& task) { return task.slot == slot && task.is_upload == late; });
    EXPECT_TRUE(std::any_of(staging_.begin(), staging_.end(), [&](const Range& range) {
      return staged >= range.begin && staged + rows.bytes() <= range.end;
    })) << "uploaded from other memory than the engine's";
    const auto copy = [this, slot, rows, staged] { engine_->upload(slot, rows, staged); };
    if (!late) return copy();
    tasks_.push_back({slot, true, copy});
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // for the staging thread to do wrong
  }
  void run(int plan, const StepState& state) override {
    tasks_.push_back({state.slot, false, [this, plan, state] { engine_->run(plan, state); }});
  }
  std::vector<CallTime> run_timed(int plan, const StepState& state) override {
    return settled().run_timed(plan, state);
  }
  StepReport await_report(std::int64_t step) override { return settled().await_report(step); }
  double time(int plan, const StepState& state) override { return settled().time(plan, state); }
  void write(const Tensor& tensor, const void* host) override { settled().write(tensor, host); }
  void read(const Tensor& tensor, void* host) override { settled().read(tensor, host); }
  void synchronize() override { settled().synchronize(); }

  std::string describe() const override { return engine_->describe(); }
  DType real() const override { return engine_->real(); }
  bool computes_in(Precision precision) const override { return engine_->computes_in(precision); }
  bool has(const Call& call) const override { return engine_->has(call); }
  int streams() const override { return engine_->streams(); }
  std::int64_t workspace_bytes(const Call& call) const override { return engine_->workspace_bytes(call); }
  std::int64_t free_bytes() const override { return engine_->free_bytes(); }
  KernelChoice kernels_of(const Call& call) const override { return engine_->kernels_of(call); }
  void allocate(const ArenaSizes& bytes) override { engine_->allocate(bytes); }
  int load(const Plan& plan) override { return engine_->load(plan); }
  void tune() override { engine_->tune(); }
  Communicator& communicator() override { return engine_->communicator(); }

 private:
  struct Task {
    int slot;
    bool is_upload;
    std::function<void()> work;
  };
  struct Range {
    const std::uint8_t *begin, *end;
  };
  /// Does everything up to the last task of this kind.
  void finish(const std::function<bool(const Task&)>& kind) {
    auto last = std::find_if(tasks_.rbegin(), tasks_.rend(), kind);
    for (auto left = tasks_.rend() - last; left > 0; --left) {
      tasks_.front().work();
      tasks_.pop_front();
    }
  }
  Engine& settled() {
    finish([](const Task&) { return true; });
    return *engine_;
  }

  std::unique_ptr<Engine> engine_;
  Order order_;
  std::deque<Task> tasks_;
  std::vector<Range> staging_;
};

struct StagedOn {
  const char* name;
  EngineKind kind;
  const char* precision = "fp32";
};

/// Everything a run shows of itself.
struct Outcome {
  std::vector<double> weights, logits, losses;
};

class Staging : public ::testing::TestWithParam<StagedOn> {
 protected:
  using Decorate = std::function<std::unique_ptr<Engine>(std::unique_ptr<Engine>)>;

  void SetUp() override {
    if (GetParam().kind == EngineKind::cuda && cuda_device_count() == 0) {
      GTEST_SKIP() << "needs a CUDA device";
    }
  }
  /// 37 and 11 images in batches of 8: the last are short. Of epoch 2 the end is left out, of evaluation
  /// none.
  static Outcome train(const char* resident, const Decorate& decorate) {
    const RankEnvironment alone = RankEnvironment::alone();
    const Config config = tiny_config({"device=auto", fmt::format("train.precision={}", GetParam().precision),
                                       fmt::format("data.resident={}", resident)});
    Session session(config, tiny_data(37, 11), decorate(make_engine(GetParam().kind, alone)), alone);
    EXPECT_EQ(session.plans().resident, resident == std::string("true"));
    session.initialize();
    Outcome outcome;
    const auto evaluate = [&] {
      Predictions predictions;
      outcome.losses.push_back(session.evaluate().loss());
      outcome.losses.push_back(session.evaluate(&predictions).loss());
      outcome.logits.insert(outcome.logits.end(), predictions.logits.begin(), predictions.logits.end());
    };
    evaluate();
    train_epochs(session, config, 1, 1);
    evaluate();
    session.begin_epoch(2);
    for (const int batch : {0, 1, 2}) {
      StepState state;
      state.learning_rate = config.optimizer.lr;
      session.train_batch(batch, state);
    }
    train_epochs(session, config, 3, 2);
    outcome.losses.push_back(session.read_training_metrics().loss());
    evaluate();
    outcome.weights = weights_of(session);
    return outcome;
  }
  static void expect_equal(const Outcome& staged, const Outcome& resident) {
    EXPECT_EQ(staged.weights, resident.weights);
    EXPECT_EQ(staged.logits, resident.logits);
    EXPECT_EQ(staged.losses, resident.losses);
  }
  static std::unique_ptr<Engine> as_it_is(std::unique_ptr<Engine> engine) { return engine; }
};

TEST_P(Staging, ChangesNothing) {
  expect_equal(train("false", as_it_is), train("true", as_it_is));
}

TEST_P(Staging, StandsAnyMomentOfCopying) {
  const Outcome resident = train("true", as_it_is);
  for (const Untimely::Order order : {Untimely::Order::late, Untimely::Order::early}) {
    SCOPED_TRACE(order == Untimely::Order::late ? "late" : "early");
    expect_equal(train("false",
                       [&](std::unique_ptr<Engine> engine) {
                         return std::make_unique<Untimely>(std::move(engine), order);
                       }),
                 resident);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Staging,
                         ::testing::Values(StagedOn{"reference", EngineKind::reference_f32},
                                           StagedOn{"cpu", EngineKind::cpu},
                                           StagedOn{"cuda", EngineKind::cuda},
                                           StagedOn{"cuda_fp16", EngineKind::cuda, "fp16"}),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace convoy::testing
