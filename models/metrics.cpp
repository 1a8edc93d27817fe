#include "models/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace lockstep {
namespace {

constexpr double kZ = 1.959963984540054;  // 97.5 % of the normal distribution
constexpr size_t kBins = 10;

Interval wilson(double successes, double n) {
    if (n <= 0) return {0, 1};
    const double p = successes / n, z2 = kZ * kZ;
    const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
    const double half = kZ / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

// NaN is never the largest, so that a decision is defined.
size_t decision(const float* row, size_t classes) {
    size_t best = 0;
    for (size_t c = 1; c < classes; ++c)
        if (row[c] > row[best] || (std::isnan(row[best]) && !std::isnan(row[c]))) best = c;
    return best;
}

// a: both right, b: only the first, c: only the second, d: both wrong.
Interval newcombe(double a, double b, double c, double d) {
    const double n = a + b + c + d;
    const double p1 = (a + b) / n, p2 = (a + c) / n, difference = p2 - p1;
    const Interval w1 = wilson(a + b, n), w2 = wilson(a + c, n);
    const double product = (a + b) * (c + d) * (a + c) * (b + d);
    double phi = 0;
    if (product > 0) {
        double numerator = a * d - b * c;
        if (numerator > n / 2)
            numerator -= n / 2;
        else if (numerator >= 0)
            numerator = 0;
        phi = numerator / std::sqrt(product);
    }
    const auto root = [&](double x, double y) {
        return std::sqrt(std::max(0.0, x * x - 2 * phi * x * y + y * y));
    };
    return {difference - root(p2 - w2.low, w1.high - p1), difference + root(w2.high - p2, p1 - w1.low)};
}

// Two-sided, of b and c discordant pairs.
double mcnemar(size_t b, size_t c) {
    const size_t n = b + c, k = std::min(b, c);
    if (n == 0) return 1;
    double p = 0;
    for (size_t i = 0; i <= k; ++i)
        p += std::exp(std::lgamma(double(n) + 1) - std::lgamma(double(i) + 1) -
                      std::lgamma(double(n - i) + 1) - double(n) * std::log(2.0));
    return std::min(1.0, 2 * p);
}

// A small generator of our own, so that the interval is the same everywhere (Steele et al. 2014,
// SplitMix64).
uint64_t next_random(uint64_t* state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct Person {
    double windows = 0;
    double difference = 0;  // right decisions, second minus first
};

Interval people_bootstrap(const std::vector<Person>& people) {
    constexpr size_t kRounds = 2000;
    uint64_t state = 1;
    std::vector<double> found;
    for (size_t round = 0; round < kRounds; ++round) {
        Person sum;
        for (size_t i = 0; i < people.size(); ++i) {
            const Person& p = people[next_random(&state) % people.size()];
            sum.windows += p.windows;
            sum.difference += p.difference;
        }
        found.push_back(sum.difference / sum.windows);
    }
    std::sort(found.begin(), found.end());
    return {found[kRounds / 40], found[kRounds - 1 - kRounds / 40]};
}

void score_classes(ClassifierMetrics* m) {
    const size_t classes = m->confusion.size();
    double recalls = 0, f1s = 0;
    size_t with_label = 0, seen = 0;
    for (size_t c = 0; c < classes; ++c) {
        size_t row = 0, column = 0;
        for (size_t i = 0; i < classes; ++i) {
            row += m->confusion[c][i];
            column += m->confusion[i][c];
        }
        const auto hits = double(m->confusion[c][c]);
        ClassScore s;
        s.support = row;
        s.recall = row == 0 ? 0 : hits / double(row);
        s.precision = column == 0 ? 0 : hits / double(column);
        s.f1 = row + column == 0 ? 0 : 2 * hits / double(row + column);
        m->each.push_back(s);
        if (row != 0) {
            ++with_label;
            recalls += s.recall;
        }
        if (row + column != 0) {
            ++seen;
            f1s += s.f1;
        }
    }
    if (with_label != 0) m->balanced_accuracy = recalls / double(with_label);
    if (seen != 0) m->f1 = f1s / double(seen);
}

void judge_calibration(const std::vector<float>& p, const std::vector<int32_t>& labels, size_t classes,
                       ClassifierMetrics* m) {
    m->reliability.assign(kBins, {});
    for (size_t w = 0; w < labels.size(); ++w) {
        if (labels[w] < 0) continue;
        const float* row = &p[w * classes];
        const size_t decided = decision(row, classes);
        const double sure = std::isnan(row[decided]) ? 0.0 : double(row[decided]);
        ReliabilityBin& bin = m->reliability[std::min(kBins - 1, size_t(sure * double(kBins)))];
        ++bin.count;
        bin.confidence += sure;
        bin.accuracy += decided == size_t(labels[w]) ? 1 : 0;
        for (size_t c = 0; c < classes; ++c) {
            const double x = std::isnan(row[c]) ? 0.0 : double(row[c]);
            const double error = x - (c == size_t(labels[w]) ? 1.0 : 0.0);
            m->brier += error * error / double(m->windows);
        }
    }
    for (ReliabilityBin& bin : m->reliability) {
        if (bin.count == 0) continue;
        bin.confidence /= double(bin.count);
        bin.accuracy /= double(bin.count);
        m->calibration_error +=
            std::fabs(bin.confidence - bin.accuracy) * double(bin.count) / double(m->windows);
    }
}

}  // namespace

std::vector<float> probabilities(const std::vector<float>& scores, size_t classes) {
    bool already = true;
    for (size_t at = 0; at < scores.size() && already; at += classes) {
        float sum = 0;
        for (size_t c = 0; c < classes; ++c) {
            already = already && scores[at + c] >= 0 && scores[at + c] <= 1;
            sum += scores[at + c];
        }
        // An int8 softmax has steps of 1/256, one a class.
        already = already && std::fabs(sum - 1) <= 0.005f * float(classes) + 0.01f;
    }
    std::vector<float> p = scores;
    if (already) return p;
    for (size_t at = 0; at < p.size(); at += classes) {
        const float top = p[at + decision(&p[at], classes)];
        float sum = 0;
        for (size_t c = 0; c < classes; ++c)
            sum += p[at + c] = std::exp(p[at + c] - top);
        for (size_t c = 0; c < classes; ++c)
            p[at + c] /= sum;
    }
    return p;
}

ClassifierMetrics judge_classifier(const std::vector<float>& scores, const std::vector<int32_t>& labels,
                                   size_t classes) {
    ClassifierMetrics m;
    m.confusion.assign(classes, std::vector<size_t>(classes, 0));
    size_t right = 0;
    for (size_t w = 0; w < labels.size(); ++w) {
        if (labels[w] < 0) continue;
        const size_t decided = decision(&scores[w * classes], classes);
        ++m.confusion[size_t(labels[w])][decided];
        ++m.windows;
        right += decided == size_t(labels[w]) ? 1 : 0;
    }
    if (m.windows == 0) return m;
    m.accuracy = double(right) / double(m.windows);
    m.accuracy_interval = wilson(double(right), double(m.windows));
    score_classes(&m);
    judge_calibration(probabilities(scores, classes), labels, classes, &m);
    return m;
}

PairedDifference compare_classifiers(const std::vector<float>& first, const std::vector<float>& second,
                                     const std::vector<int32_t>& labels, size_t classes,
                                     const std::vector<std::string>& people) {
    PairedDifference d;
    size_t both = 0, neither = 0;
    std::map<std::string, Person> persons;
    for (size_t w = 0; w < labels.size(); ++w) {
        if (labels[w] < 0) continue;
        const size_t a = decision(&first[w * classes], classes), b = decision(&second[w * classes], classes);
        const bool first_right = a == size_t(labels[w]), second_right = b == size_t(labels[w]);
        ++d.windows;
        d.same_decision += a == b ? 1 : 0;
        d.only_first += first_right && !second_right ? 1 : 0;
        d.only_second += second_right && !first_right ? 1 : 0;
        both += first_right && second_right ? 1 : 0;
        neither += !first_right && !second_right ? 1 : 0;
        if (people.empty()) continue;
        Person& p = persons[people[w]];
        p.windows += 1;
        p.difference += double(second_right) - double(first_right);
    }
    if (d.windows == 0) return d;
    d.accuracy = (double(d.only_second) - double(d.only_first)) / double(d.windows);
    d.interval = newcombe(double(both), double(d.only_first), double(d.only_second), double(neither));
    d.mcnemar_p = mcnemar(d.only_first, d.only_second);
    d.people = persons.size();
    if (d.people > 1) {
        std::vector<Person> list;
        list.reserve(persons.size());
        for (const auto& [name, p] : persons)
            list.push_back(p);
        d.people_interval = people_bootstrap(list);
    }
    return d;
}

}  // namespace lockstep
