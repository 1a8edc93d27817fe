#include "ui/signal_panel.h"

#include <QGridLayout>
#include <QLabel>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>

#include "ui/lane_view.h"
#include "ui/plots/small_plot.h"
#include "ui/plots/spectrum.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {

constexpr double kSeconds = 8;  // of signal in a spectrum
constexpr double kTrend = 120;  // s
constexpr double kMoment = 1;   // s between two points of a trend
constexpr size_t kMostSamples = 1 << 17;

QLabel* text(const QString& words, double points, bool bold, const char* name) {
    auto* label = new QLabel(words);
    label->setFont(text_font(points, bold));
    label->setObjectName(name);
    return label;
}

QLabel* head(const QString& words, const QString& unit = {}) {
    QLabel* label =
        text(unit.isEmpty() ? words.toUpper() : words.toUpper() + "   " + unit, 7.5, true, "faint");
    QFont font = label->font();
    font.setLetterSpacing(QFont::AbsoluteSpacing, 0.8);
    label->setFont(font);
    return label;
}

}  // namespace

SignalPanel::SignalPanel(LaneView* lanes, QWidget* parent) : QWidget(parent), lanes_(lanes) {
    auto* v = new QVBoxLayout(this);
    v->setContentsMargins(20, 14, 16, 14);
    v->setSpacing(4);
    v->addWidget(head(tr("Channel")));
    name_ = text({}, 15, true, "");
    v->addWidget(name_);
    about_ = text({}, 8.5, false, "dim");
    about_->setToolTip(tr("Click a channel's name beside the lanes for another"));
    v->addWidget(about_);
    v->addSpacing(4);
    v->addWidget(numbers());
    v->addSpacing(12);
    spectrum_head_ = head(tr("Spectrum"));
    v->addWidget(spectrum_head_);
    spectrum_ = new SmallPlot(tr("Hz"), true);
    spectrum_->setToolTip(
        tr("Density over frequency of the last %1 s, before the display's filter").arg(kSeconds));
    spectrum_->setFixedHeight(170);
    v->addWidget(spectrum_);
    v->addSpacing(12);
    trends_ = new QWidget;
    auto* t = new QVBoxLayout(trends_);
    t->setContentsMargins(0, 0, 0, 0);
    t->setSpacing(4);
    t->addWidget(head(tr("Link"), tr("kB/s")));
    rate_ = new SmallPlot(tr("s"), false);
    rate_->setFixedHeight(110);
    t->addWidget(rate_);
    t->addSpacing(12);
    t->addWidget(head(tr("Received"), tr("% of sent")));
    received_ = new SmallPlot(tr("s"), false);
    received_->setFixedHeight(120);
    t->addWidget(received_);
    t->addSpacing(4);
    legend_ = text({}, 8.5, false, "dim");
    t->addWidget(legend_);
    v->addWidget(trends_);
    v->addStretch();
    connect(lanes_, &LaneView::channel_selected, this, &SignalPanel::reload);
}

QWidget* SignalPanel::numbers() {
    auto* box = new QWidget;
    auto* grid = new QGridLayout(box);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setVerticalSpacing(4);
    int row = 0;
    for (auto& [field, name] : {std::pair<QLabel**, QString>{&rms_, tr("RMS")},
                                {&range_, tr("Peak to peak")},
                                {&mean_, tr("Mean")},
                                {&peak_, tr("Strongest at")}}) {
        *field = text({}, 9, false, "");
        (*field)->setAlignment(Qt::AlignRight);
        grid->addWidget(text(name, 9, false, "dim"), row, 0);
        grid->addWidget(*field, row++, 1);
    }
    return box;
}

void SignalPanel::restyle() {
    for (SmallPlot* plot : {spectrum_, rate_, received_})
        plot->restyle();
    reload();
}

void SignalPanel::showEvent(QShowEvent*) {
    reload();
}

void SignalPanel::reload() {
    if (!isVisible()) return;
    show_spectrum();
    show_trends();
}

void SignalPanel::set_status(const WorkbenchStatus& status, double seconds) {
    live_ = status.state != WorkbenchState::reviewing && status.state != WorkbenchState::idle;
    const std::vector<StreamAccount>& now = status.summary.streams;
    bool same = now.size() == before_.size();
    for (size_t i = 0; same && i < now.size(); ++i)
        same = now[i].received >= before_[i].received;
    if (!same || status.link.bytes < bytes_before_) {  // another device, or a new stretch of streaming
        if (now.size() != before_.size()) moments_.clear();
        before_ = now;
        bytes_before_ = status.link.bytes;
        seconds_before_ = seconds;
        return;
    }
    if (seconds - seconds_before_ < kMoment) return;
    Moment moment;
    moment.seconds = seconds;
    moment.bytes_per_second = double(status.link.bytes - bytes_before_) / (seconds - seconds_before_);
    for (size_t i = 0; i < now.size(); ++i) {
        const double received = double(now[i].received - before_[i].received);
        const double lost = now[i].lost > before_[i].lost ? double(now[i].lost - before_[i].lost) : 0;
        // Nothing at all is a line that is down.
        moment.received.push_back(received + lost > 0 ? 100 * received / (received + lost) : 0);
    }
    moments_.push_back(std::move(moment));
    while (!moments_.empty() && moments_.front().seconds < seconds - kTrend)
        moments_.pop_front();
    before_ = now;
    bytes_before_ = status.link.bytes;
    seconds_before_ = seconds;
    reload();
}

void SignalPanel::show_spectrum() {
    const auto& source = lanes_->source();
    int stream = lanes_->selected_stream();
    int channel = lanes_->selected_channel();
    if (stream < 0 && !lanes_->lanes().lanes.empty()) {
        stream = lanes_->lanes().lanes.front().stream;
        channel = lanes_->lanes().lanes.front().channel;
    }
    const std::vector<StreamInfo> streams = source ? source->streams() : std::vector<StreamInfo>{};
    if (stream < 0 || size_t(stream) >= streams.size() ||
        size_t(channel) >= streams[size_t(stream)].channels.size())
        return;
    const StreamInfo& info = streams[size_t(stream)];
    const ChannelInfo& own = info.channels[size_t(channel)];
    QColor color = colors().accent;
    for (const Lane& lane : lanes_->lanes().lanes)
        if (lane.stream == stream && lane.channel == channel) color = lane.color;
    // Live the newest seconds; else those in the middle of what is shown.
    double end = source->end_time(stream);
    if (!lanes_->following()) {
        const TimeAxis& axis = lanes_->axis();
        end = std::min(end, std::min(axis.end_time(), (axis.begin_time() + axis.end_time() + kSeconds) / 2));
    }
    const double begin = std::max(source->begin_time(stream), end - kSeconds);
    const size_t limit = std::min(size_t(std::max(0.0, end - begin) * info.rate()) + 16, kMostSamples);
    std::vector<double> time(limit);
    std::vector<float> value(limit);
    value.resize(source->samples(stream, channel, begin, end, limit, time.data(), value.data()));
    const QString unit = unit_text(own.unit);
    name_->setText(QString::fromStdString(own.name));
    name_->setStyleSheet(QStringLiteral("color: %1;").arg(color.name()));
    spectrum_head_->setText(tr("Spectrum").toUpper() + QStringLiteral("   %1/√Hz").arg(unit));
    about_->setText(tr("%1 · %2 Hz · %3 to %4 s")
                        .arg(kind_text(info.kind, info.name))
                        .arg(info.rate(), 0, 'g', 5)
                        .arg(std::max(0.0, begin), 0, 'f', 1)
                        .arg(std::max(0.0, end), 0, 'f', 1));
    double mean = 0;
    double square = 0;
    for (float v : value)
        mean += double(v);
    if (!value.empty()) mean /= double(value.size());
    for (float v : value)
        square += (double(v) - mean) * (double(v) - mean);
    if (value.empty()) {
        for (QLabel* label : {rms_, range_, mean_, peak_})
            label->setText(QStringLiteral("–"));
    } else {
        const auto [low, high] = std::minmax_element(value.begin(), value.end());
        rms_->setText(value_text(std::sqrt(square / double(value.size())), unit));
        range_->setText(value_text(double(*high) - double(*low), unit));
        mean_->setText(value_text(mean, unit));
    }
    const Spectrum s = spectrum_of(value, info.rate());
    peak_->setText(s.peak_hz > 0 ? tr("%1 Hz").arg(s.peak_hz, 0, 'f', 1) : QStringLiteral("–"));
    double low = 1e300;
    double high = 0;
    std::vector<double> density = s.density;
    for (double& d : density) {
        high = std::max(high, d);
        if (d > 0) low = std::min(low, d);
    }
    if (high <= 0) {  // a flat line has no spectrum
        spectrum_->set_curves(0);
        spectrum_->mark(std::numeric_limits<double>::quiet_NaN(), color);
        spectrum_->replot();
        return;
    }
    const double bottom = std::pow(10, std::floor(std::log10(std::max(low, high * 1e-5))));
    for (double& d : density)
        d = std::max(d, bottom);
    spectrum_->set_curve(0, color, s.hz, density, true);
    spectrum_->set_x(0, info.rate() / 2);
    spectrum_->set_y(bottom, std::pow(10, std::ceil(std::log10(high))));
    spectrum_->mark(s.peak_hz > 0 ? s.peak_hz : std::numeric_limits<double>::quiet_NaN(), colors().faint);
    spectrum_->replot();
}

void SignalPanel::show_trends() {
    trends_->setVisible(live_);
    if (!live_ || moments_.empty()) return;
    const Colors& c = colors();
    const double now = moments_.back().seconds;
    std::vector<double> x;
    std::vector<double> rate;
    double fastest = 1;
    for (const Moment& m : moments_) {
        x.push_back(m.seconds - now);
        rate.push_back(m.bytes_per_second / 1000);
        fastest = std::max(fastest, rate.back());
    }
    rate_->set_curve(0, c.accent, x, rate, true);
    rate_->set_x(-kTrend, 0, 30);
    rate_->set_y(0, nice_above(fastest * 1.05));
    rate_->replot();
    double worst = 100;
    QStringList names;
    const size_t streams = moments_.back().received.size();
    for (size_t i = 0; i < streams; ++i) {
        std::vector<double> share;
        for (const Moment& m : moments_)
            share.push_back(i < m.received.size() ? m.received[i] : 100);
        worst = std::min(worst, *std::min_element(share.begin(), share.end()));
        const QColor color = c.traces[i % c.traces.size()];
        received_->set_curve(int(i), color, x, share);
        const QString name = i < before_.size() ? QString::fromStdString(before_[i].name) : QString();
        names << QStringLiteral("<span style='color:%1'>%2</span>").arg(color.name(), name.toHtmlEscaped());
    }
    received_->set_curves(int(streams));
    received_->set_x(-kTrend, 0, 30);
    received_->set_y(worst > 90 ? 90 : worst > 50 ? 50 : 0, 101);
    received_->replot();
    legend_->setText(names.join(QStringLiteral("&nbsp;&nbsp; ")));
}

}  // namespace lockstep::ui
