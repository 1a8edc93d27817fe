// Paints the window in its states to PNG files, for looking at: `gallery FOLDER [light|dark]`.
#include <QApplication>
#include <QDir>

#include "tests/ui/fake_workbench.h"
#include "ui/lane_view.h"
#include "ui/main_window.h"

using namespace lockstep;

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    const QString folder = argc > 1 ? argv[1] : "gallery";
    QDir().mkpath(folder);
    bool good = true;
    for (ui::Theme theme : {ui::Theme::light, ui::Theme::dark}) {
        const QString suffix = theme == ui::Theme::dark ? "-dark.png" : "-light.png";
        ui::apply_theme(app, theme);
        {
            test::FakeWorkbench bench;
            ui::MainWindow window(&bench);
            good = ui::screenshot(window, folder + "/empty" + suffix, {1400, 900}) && good;
        }
        test::FakeWorkbench bench;
        for (auto [t0, t1, name] : {std::tuple{1.1, 1.4, "blink"},
                                    {1.9, 3.6, "blink_train"},
                                    {5.3, 6.8, "jaw_left"},
                                    {6.8, 8.4, "jaw_right"},
                                    {8.6, 9.8, "jaw_left"},
                                    {10.0, 11.4, "jaw_right"},
                                    {12.3, 13.7, "blink_train"},
                                    {24.0, 40.0, "alpha_eyes_closed"}}) {
            LabelEdit edit;
            edit.after.start = t0;
            edit.after.stop = t1;
            edit.after.label_class = name;
            bench.edit_label(edit);
        }
        for (double t0 : {9.57, 13.57}) {
            LabelEdit edit;
            edit.after.start = t0;
            edit.after.stop = t0 + 1.9;
            edit.after.stream = 3;
            edit.after.label_class = "hand_movement";
            bench.edit_label(edit);
        }
        bench.connect_now();
        bench.drop(3, 11.5, 12.1);
        ui::MainWindow window(&bench);
        bench.stream_until(16.4);
        good = ui::screenshot(window, folder + "/streaming" + suffix, {1400, 900}) && good;
        bench.start_recording("/home/me/Lockstep/sub-07_task-rest_2026-11-21.h5", "", "");
        bench.window_rows[bench.window_rows.size() - 4].verdict = Verdict::different;
        bench.stream_until(17.9);
        good = ui::screenshot(window, folder + "/recording" + suffix, {1920, 1080}) && good;
        bench.stream_until(60);
        bench.review();
        good = ui::screenshot(window, folder + "/review" + suffix, {1400, 900}) && good;
        window.lanes()->show_range(8, 6);
        good = ui::screenshot(window, folder + "/zoomed" + suffix, {1400, 900}) && good;
    }
    return good ? 0 : 1;
}
