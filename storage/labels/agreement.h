// How far two annotators agree on one recording.
#pragma once

#include <string>
#include <vector>

#include "acquisition/event.h"

namespace lockstep::storage {

struct AgreementRule {
    double overlap = 0.5;    // intervals match when intersection / union is at least this
    double tolerance = 0.1;  // seconds between matching points
};

struct ClassAgreement {
    std::string label_class;  // "": all classes
    uint64_t both = 0, only_a = 0, only_b = 0;
    double f1() const {  // 1 when neither has any
        const double all = double(2 * both + only_a + only_b);
        return all == 0 ? 1 : 2 * double(both) / all;
    }
};

// Adds up over sessions.
class Agreement {
  public:
    explicit Agreement(const AgreementRule& rule) : rule_(rule) {}
    // The labels of both on one recording of `duration` seconds.
    void add(const std::vector<Label>& a, const std::vector<Label>& b, double duration);

    // Cohen's kappa over time: every moment is of the class, or set of classes, or none that covers it,
    // weighted by its length - no grid, so no resolution to choose. Points do not count. 1 when both put
    // everything into one category.
    double kappa() const;
    double seconds() const { return seconds_; }
    double seconds_agreed() const { return agreed_; }
    // Events of one class are matched one to one, best overlap first. By class, all of them first.
    const std::vector<ClassAgreement>& events() const { return events_; }

  private:
    void match(const std::string& label_class, const std::vector<Label>& a, const std::vector<Label>& b);
    AgreementRule rule_;
    double seconds_ = 0, agreed_ = 0;
    struct Share {
        std::string category;
        double a = 0, b = 0;  // seconds
    };
    Share& share(const std::string& category);
    std::vector<Share> shares_;
    std::vector<ClassAgreement> events_{ClassAgreement()};
};

}  // namespace lockstep::storage
