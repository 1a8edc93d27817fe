// How good a classifier is, and how sure that is. Pure functions; any thread.
//
// Sources: balanced accuracy and macro F1 as scikit-learn defines them (classes without a window are left
// out); expected calibration error: Guo et al., ICML 2017, ten bins of equal width; Brier score: Brier,
// Mon. Weather Rev. 78 (1950), summed over classes; interval of one proportion: Wilson, JASA 22 (1927);
// difference of paired proportions: Newcombe, Statist. Med. 17 (1998) 2635, method 10; exact test of the
// discordant pairs: McNemar, Psychometrika 12 (1947), binomial.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct Interval {
    double low = 0;
    double high = 0;
};

struct ClassScore {
    double precision = 0;
    double recall = 0;
    double f1 = 0;
    size_t support = 0;
};

struct ReliabilityBin {
    size_t count = 0;
    double confidence = 0;  // means of the bin
    double accuracy = 0;
};

struct ClassifierMetrics {
    size_t windows = 0;
    double accuracy = 0;
    Interval accuracy_interval;  // 95 %, Wilson; windows of one person are not independent
    double balanced_accuracy = 0;
    double f1 = 0;  // macro
    std::vector<ClassScore> each;
    std::vector<std::vector<size_t>> confusion;  // [label][decision]
    double calibration_error = 0;
    double brier = 0;
    std::vector<ReliabilityBin> reliability;
};

// Scores of all windows as probabilities: softmax, unless every row already sums to 1.
std::vector<float> probabilities(const std::vector<float>& scores, size_t classes);
// `scores` [windows][classes]; windows with label -1 are left out.
// REQUIRES: labels are below `classes`; scores.size() == labels.size() * classes.
ClassifierMetrics judge_classifier(const std::vector<float>& scores, const std::vector<int32_t>& labels,
                                   size_t classes);

// Of two models on the same windows, second minus first.
struct PairedDifference {
    size_t windows = 0;
    size_t only_first = 0;  // windows that only the first decides rightly
    size_t only_second = 0;
    size_t same_decision = 0;
    double accuracy = 0;  // difference
    Interval interval;    // 95 %, Newcombe's method 10
    double mcnemar_p = 1;
    // 95 %, percentiles of 2000 resamplings of whole people with a fixed generator; zeros without people.
    Interval people_interval;
    size_t people = 0;
};
PairedDifference compare_classifiers(const std::vector<float>& first, const std::vector<float>& second,
                                     const std::vector<int32_t>& labels, size_t classes,
                                     const std::vector<std::string>& people);

}  // namespace lockstep
