#include "storage/labels/agreement.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace lockstep::storage {
namespace {

// What covers a moment, as text: the names of all classes there, in order.
class Cover {
  public:
    explicit Cover(const std::vector<Label>& labels) {
        for (const Label& l : labels)
            if (l.stop > l.start) {
                changes_.emplace_back(l.start, 1, l.label_class);
                changes_.emplace_back(l.stop, -1, l.label_class);
            }
        std::sort(changes_.begin(), changes_.end());
    }
    // REQUIRES: calls in time order.
    std::string at(double time) {
        for (; next_ < changes_.size() && std::get<0>(changes_[next_]) <= time; ++next_) {
            const auto& [when, step, name] = changes_[next_];
            if (step > 0)
                open_.insert(name);
            else
                open_.erase(open_.find(name));
        }
        std::string text;
        for (auto name = open_.begin(); name != open_.end(); name = open_.upper_bound(*name))
            text += (text.empty() ? "" : " + ") + *name;
        return text;
    }

  private:
    std::vector<std::tuple<double, int, std::string>> changes_;
    std::multiset<std::string> open_;
    size_t next_ = 0;
};

}  // namespace

void Agreement::add(const std::vector<Label>& a, const std::vector<Label>& b, double duration) {
    std::set<double> edges = {0, duration};
    std::set<std::string> classes;
    for (const auto* side : {&a, &b})
        for (const Label& l : *side) {
            edges.insert(std::clamp(l.start, 0.0, duration));
            edges.insert(std::clamp(l.stop, 0.0, duration));
            classes.insert(l.label_class);
        }
    Cover cover_a(a), cover_b(b);
    for (auto edge = edges.begin(); std::next(edge) != edges.end(); ++edge) {
        const double length = *std::next(edge) - *edge;
        const std::string of_a = cover_a.at(*edge), of_b = cover_b.at(*edge);
        share(of_a).a += length;
        share(of_b).b += length;
        if (of_a == of_b) agreed_ += length;
    }
    seconds_ += duration;
    for (const std::string& name : classes)
        match(name, a, b);
}

Agreement::Share& Agreement::share(const std::string& category) {
    for (Share& s : shares_)
        if (s.category == category) return s;
    shares_.push_back({category, 0, 0});
    return shares_.back();
}

double Agreement::kappa() const {
    if (seconds_ <= 0) return 1;
    double chance = 0;
    for (const Share& s : shares_)
        chance += s.a / seconds_ * (s.b / seconds_);
    const double observed = agreed_ / seconds_;
    return chance >= 1 - 1e-12 ? 1 : (observed - chance) / (1 - chance);
}

void Agreement::match(const std::string& label_class, const std::vector<Label>& a,
                      const std::vector<Label>& b) {
    std::vector<const Label*> own_a, own_b;
    for (const auto& [from, to] : {std::make_pair(&a, &own_a), std::make_pair(&b, &own_b)})
        for (const Label& l : *from)
            if (l.label_class == label_class) to->push_back(&l);
    std::sort(own_b.begin(), own_b.end(), [](const Label* x, const Label* y) { return x->start < y->start; });
    std::vector<std::tuple<double, size_t, size_t>> pairs;  // worse first number last
    for (size_t i = 0; i < own_a.size(); ++i)
        for (size_t k = 0; k < own_b.size(); ++k) {
            const Label &x = *own_a[i], &y = *own_b[k];
            if (y.start > x.stop + rule_.tolerance) break;
            const bool point_x = x.stop <= x.start, point_y = y.stop <= y.start;
            if (point_x && point_y) {
                const double apart = std::abs(x.start - y.start);
                if (apart <= rule_.tolerance) pairs.emplace_back(apart, i, k);
            } else if (!point_x && !point_y) {
                const double common = std::min(x.stop, y.stop) - std::max(x.start, y.start);
                const double all = std::max(x.stop, y.stop) - std::min(x.start, y.start);
                if (common > 0 && common / all >= rule_.overlap) pairs.emplace_back(-common / all, i, k);
            }
        }
    std::sort(pairs.begin(), pairs.end());
    std::vector<bool> used_a(own_a.size()), used_b(own_b.size());
    uint64_t both = 0;
    for (const auto& [cost, i, k] : pairs)
        if (!used_a[i] && !used_b[k]) {
            used_a[i] = used_b[k] = true;
            ++both;
        }
    size_t at = 1;
    while (at < events_.size() && events_[at].label_class != label_class)
        ++at;
    if (at == events_.size()) {
        events_.emplace_back();
        events_.back().label_class = label_class;
    }
    for (ClassAgreement* c : {&events_[0], &events_[at]}) {
        c->both += both;
        c->only_a += own_a.size() - both;
        c->only_b += own_b.size() - both;
    }
}

}  // namespace lockstep::storage
