#include "storage/formats/iso_time.h"

#include "storage/formats/import_text.h"

namespace lockstep::storage {
namespace {

class Scanner {
  public:
    explicit Scanner(const std::string& text) : text_(text) {}
    // Exactly `n` digits.
    bool digits(size_t n, int64_t* out) {
        *out = 0;
        if (at_ + n > text_.size()) return false;
        for (size_t i = 0; i < n; ++i) {
            const char c = text_[at_ + i];
            if (c < '0' || c > '9') return false;
            *out = *out * 10 + (c - '0');
        }
        at_ += n;
        return true;
    }
    bool take(const char* any) {
        if (at_ >= text_.size() || std::string(any).find(text_[at_]) == std::string::npos) return false;
        ++at_;
        return true;
    }
    char last() const { return text_[at_ - 1]; }
    bool end() const { return at_ == text_.size(); }

  private:
    const std::string& text_;
    size_t at_ = 0;
};

// Days since 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is their last.
int64_t days(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719468;
}

int64_t days_in(int64_t year, int64_t month) {
    return days(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) - days(year, month, 1);
}

bool fraction(Scanner& in, int64_t* ns) {
    int64_t digit = 0;
    int64_t weight = 100000000;
    if (!in.digits(1, &digit)) return false;
    do {
        *ns += digit * weight;
        weight /= 10;
    } while (in.digits(1, &digit));
    return true;
}

bool zone(Scanner& in, int64_t* minutes) {
    if (in.take("Zz")) return true;
    if (!in.take("+-")) return false;
    const int64_t sign = in.last() == '-' ? -1 : 1;
    int64_t h = 0, m = 0;
    if (!in.digits(2, &h)) return false;
    if (in.take(":") ? !in.digits(2, &m) : !in.end() && !in.digits(2, &m)) return false;
    *minutes = sign * (60 * h + m);
    return h <= 18 && m < 60;
}

}  // namespace

bool parse_iso_time(const std::string& text, int64_t* utc_ns, bool* zoned) {
    const std::string whole = trimmed(text);
    Scanner in(whole);
    int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ns = 0, offset = 0;
    if (!in.digits(4, &year)) return false;
    const bool dashes = in.take("-");
    if (!in.digits(2, &month) || (dashes && !in.take("-")) || !in.digits(2, &day) || !in.take("Tt "))
        return false;
    if (!in.digits(2, &hour)) return false;
    const bool colons = in.take(":");
    if (!in.digits(2, &minute)) return false;
    // Both forms may end with the minute.
    if (colons && in.take(":") && !in.digits(2, &second)) return false;
    if (!colons) (void)in.digits(2, &second);
    if (in.take(".,") && !fraction(in, &ns)) return false;
    *zoned = !in.end();
    if (*zoned && !zone(in, &offset)) return false;
    // Years whose nanoseconds, and those between any two of them, fit; a leap second is the first one of the
    // next minute.
    if (!in.end() || year < 1950 || year > 2150 || month < 1 || month > 12 || day < 1 ||
        day > days_in(year, month) || hour > 23 || minute > 59 || second > 60)
        return false;
    *utc_ns = (((days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000000000 + ns;
    return true;
}

}  // namespace lockstep::storage
