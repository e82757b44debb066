// The schema of the section `schedule`.
#include "src/config/schema.h"

namespace convoy {

Table<ScheduleConfig> schedule_table() {
  using S = ScheduleConfig;
  using N = S::Name;
  const auto is = [](auto... names) { return [=](const S& s) { return ((s.name == names) || ...); }; };
  const auto warms_up = is(N::constant, N::step, N::linear, N::cosine);
  const std::string warming = "name: constant | step | linear | cosine";
  const Interval share = between(0, 1), steps = between(1, 1e12);
  Table<S> table;
  table.short_key = "name";
  table.fields = {
      field("name", &S::name,
            choice<N>({{"constant", N::constant},
                       {"step", N::step},
                       {"linear", N::linear},
                       {"cosine", N::cosine},
                       {"one_cycle", N::one_cycle}}),
            "how the learning rate changes"),
      field("warmup_epochs", &S::warmup_epochs, number<double>(at_least(0)),
            "linear rise from zero; at most half of the run")
          .only(warming, warms_up),
      field("warmup_steps", &S::warmup_steps, number<std::int64_t>(between(0, 1e12)),
            "the same in steps of the optimizer, in place of warmup_epochs")
          .only(warming, warms_up),
      field("milestones", &S::milestones, one_or_list(number<double>(above(0)), 1, 1000),
            "epochs at which lr is multiplied by gamma")
          .only("name: step", is(N::step)),
      field("milestone_steps", &S::milestone_steps, one_or_list(number<std::int64_t>(steps), 1, 1000),
            "the same in steps of the optimizer, in place of milestones")
          .only("name: step", is(N::step)),
      field("gamma", &S::gamma, number<double>(above(0)), "see milestones").only("name: step", is(N::step)),
      field("final_factor", &S::final_factor, number<double>(share), "lr at the end, as a share of the peak")
          .only("name: linear | cosine", is(N::linear, N::cosine)),
      field("start_factor", &S::start_factor, number<double>(share),
            "lr at the start, as a share of the peak")
          .only("name: one_cycle", is(N::one_cycle)),
      field("peak_at", &S::peak_at,
            number<double>(Interval{.low = 0, .high = 1, .low_open = true, .high_open = true}),
            "when lr peaks, as a share of the run")
          .only("name: one_cycle", is(N::one_cycle))};
  table.check = [](const S& s, const Place& place) {
    const auto must_ascend = [&](const auto& milestones, const char* key) {
      const auto falls = std::adjacent_find(milestones.begin(), milestones.end(), std::greater_equal<>());
      if (falls != milestones.end())
        place.at(key).refuse("must ascend; {} stands before {}", falls[0], falls[1]);
    };
    must_ascend(s.milestones, "milestones");
    must_ascend(s.milestone_steps, "milestone_steps");
    if (s.warmup_epochs > 0 && s.warmup_steps > 0)
      place.at("warmup_steps").refuse("cannot be combined with warmup_epochs; leave out one of the two");
    if (!s.milestones.empty() && !s.milestone_steps.empty())
      place.at("milestone_steps").refuse("cannot be combined with milestones; leave out one of the two");
    if (s.name == N::step && s.milestones.empty() && s.milestone_steps.empty())
      place.at("milestones").refuse("missing; name: step needs them, or milestone_steps");
  };
  return table;
}

}  // namespace convoy
