// recover() and verify() for the Python tests: repairer PATH [OUTPUT]; prints the report or the problem.
#include <cstdio>

#include "storage/repair.h"

int main(int argc, char** argv) {
    if (argc != 2 && argc != 3) return 2;
    const auto report = lockstep::storage::recover(argv[1], argc == 3 ? argv[2] : "");
    if (!report) {
        fprintf(stderr, "%s\n", report.error().message().c_str());
        return 3;
    }
    puts(report->text.c_str());
    const auto problems = lockstep::storage::verify(report->path);
    if (!problems) {
        fprintf(stderr, "%s\n", problems.error().message().c_str());
        return 3;
    }
    for (const auto& p : *problems)
        fprintf(stderr, "%s\n", p.c_str());
    return problems->empty() ? 0 : 1;
}
