// `lockstep-studio`: the window, live or on a recorded session, or a picture of it.
#include <CLI/CLI.hpp>
#include <QApplication>
#include <QElapsedTimer>
#include <QScreen>
#include <QSettings>
#include <QTimer>
#include <clocale>
#include <cstdio>

#include "app/base/console.h"
#include "app/studio/studio_workbench.h"
#include "models/plan/plan_file.h"
#include "ui/main_window.h"
#include "ui/theme.h"

namespace lockstep::app {
namespace {

struct StudioOptions {
    std::string what;  // URI or session
    std::string screenshot;
    std::string size = "1600x1000";
    std::string theme = "light";
    std::vector<std::string> models;
    double seconds = 10;
    int verbosity = 0;
};

bool is_session(const std::string& what) {
    return what.size() > 3 && what.compare(what.size() - 3, 3, ".h5") == 0 &&
           what.compare(0, 7, "replay:") != 0;
}

// Lets the window live until the workbench has what was asked for, then `seconds` more when live.
int take_screenshot(StudioWorkbench& workbench, ui::MainWindow& window, const StudioOptions& o,
                    const QSize& size) {
    QElapsedTimer clock;
    clock.start();
    const auto wait = [&](auto until) {
        while (!until() && !interrupted()) {
            QApplication::processEvents(QEventLoop::AllEvents, 20);
            sleep_ms(5);
        }
    };
    window.resize(size);
    window.show();
    wait([&] { return workbench.settled(); });
    const WorkbenchStatus status = workbench.status();
    if (!o.what.empty() && status.state == WorkbenchState::idle) {
        say("lockstep-studio: " + status.message);
        return is_session(o.what) ? kUsage : kFailed;
    }
    if (status.state == WorkbenchState::streaming) {
        clock.restart();
        wait([&] { return clock.elapsed() > qint64(o.seconds * 1000); });
    } else {
        clock.restart();
        wait([&] { return clock.elapsed() > 500; });
    }
    if (interrupted()) return kFailed;
    window.refresh_now();
    return ui::screenshot(window, QString::fromStdString(o.screenshot), size) ? kYes : kFailed;
}

int run(int argc, char** argv) {
    StudioOptions o;
    CLI::App command("Lockstep Studio: the window on a device or a recorded session.");
    command.set_version_flag("--version", std::string("lockstep-studio ") + LOCKSTEP_VERSION);
    command.add_option("what", o.what, "Device URI, or NAME.h5 to look at");
    command.add_option("--screenshot", o.screenshot, "Write a picture of the window and end");
    const auto* size = command.add_option("--size", o.size, "Of the window or the picture, WIDTHxHEIGHT");
    const auto* theme = command.add_option("--theme", o.theme, "light or dark");
    command.get_option("--theme")->check(CLI::IsMember({"light", "dark"}));
    command
        .add_option("--model", o.models, "Plan for the host to run; without it, those that the device runs")
        ->allow_extra_args(false);
    command.add_option("--seconds", o.seconds, "Before the picture, when live")->check(CLI::PositiveNumber);
    command.add_flag("-v,--verbose", o.verbosity, "Log to standard error; twice for more");
    try {
        command.parse(argc, argv);
    } catch (const CLI::Success& e) {
        return command.exit(e);
    } catch (const CLI::ParseError& e) {
        say("lockstep-studio: " + std::string(e.what()) + "; see 'lockstep-studio --help'");
        return kUsage;
    }
    int width = 0, height = 0;
    char rest = 0;
    if (std::sscanf(o.size.c_str(), "%dx%d%c", &width, &height, &rest) != 2 || width < 320 || height < 240 ||
        width > 16000 || height > 16000) {
        say("lockstep-studio: --size " + o.size + " is no size; give WIDTHxHEIGHT, 320x240 at least");
        return kUsage;
    }
    set_log_level(o.verbosity);
    catch_interrupts();
    std::vector<PlanPtr> plans;
    for (const std::string& path : o.models) {
        const auto plan = load_plan(path);
        if (!plan) return complain(plan.error());
        plans.push_back(*plan);
    }
    if (qEnvironmentVariableIsEmpty("QT_QPA_PLATFORM") && qEnvironmentVariableIsEmpty("DISPLAY") &&
        qEnvironmentVariableIsEmpty("WAYLAND_DISPLAY")) {
        if (o.screenshot.empty()) {
            say("lockstep-studio: there is no display; with --screenshot FILE.png it works without one");
            return kFailed;
        }
        qputenv("QT_QPA_PLATFORM", "offscreen");
    }
    QApplication application(argc, argv);
    // Qt takes the desktop's locale over; numbers in addresses, files and reports have a point everywhere.
    std::setlocale(LC_NUMERIC, "C");
    QApplication::setApplicationName("Lockstep Studio");
    ui::apply_theme(application, o.theme == "dark" ? ui::Theme::dark : ui::Theme::light);
    StudioWorkbench workbench;
    workbench.set_models(std::move(plans));
    if (is_session(o.what))
        workbench.open_session(o.what);
    else if (!o.what.empty())
        workbench.connect_device(o.what);
    ui::MainWindow window(&workbench);
    if (!o.screenshot.empty()) return take_screenshot(workbench, window, o, QSize(width, height));
    QSettings settings("Lockstep", "Studio");
    const QRect screen = QApplication::primaryScreen()->availableGeometry();
    window.resize(QSize(width, height).boundedTo(screen.size()));
    window.remember(&settings);
    if (size->count() > 0) window.resize(width, height);
    if (theme->count() > 0) window.set_theme(o.theme == "dark" ? ui::Theme::dark : ui::Theme::light);
    // Ctrl-C in the terminal closes the window as a person would.
    QTimer interrupts;
    QObject::connect(&interrupts, &QTimer::timeout, [&] {
        if (interrupted()) QApplication::quit();
    });
    interrupts.start(100);
    window.show();
    const bool well = QApplication::exec() == 0;
    if (o.verbosity > 0) {
        char text[120];
        std::snprintf(text, sizeof text,
                      "lockstep-studio: drew %.1f frames/s, 99 %% of the gaps at most %d ms",
                      window.frame_gaps().per_second(), window.frame_gaps().quantile(0.99));
        say(text);
    }
    return well ? kYes : kFailed;
}

}  // namespace
}  // namespace lockstep::app

int main(int argc, char** argv) {
    return lockstep::app::run(argc, argv);
}
