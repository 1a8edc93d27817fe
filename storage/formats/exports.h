// One function per format: its descriptor. The table in formats.cpp lists them.
#pragma once

#include "acquisition/export.h"

namespace lockstep::storage {

ExportFormat csv_format();
ExportFormat edf_format();
ExportFormat bdf_format();
ExportFormat bids_format();
ExportFormat dataset_format();
ExportFormat xdf_format();
ExportFormat nwb_format();
ExportFormat mat_format();

// Shared by formats.
// "a/b.csv" -> "a/b"
std::string stem_of(const std::string& path);
// start_s,stop_s,class,... : the label script's columns and more.
Status write_labels_csv(SessionReader& session, const std::string& path);
// A signal of an EDF file as its header names it.
struct EdfSignal {
    std::string name;
    std::string unit;
};
// Streams [indices] of one rate as one EDF+ or BDF+ file. `named` may be null.
Status write_edf_file(SessionReader& session, const std::vector<int>& streams, bool bdf,
                      const std::string& path, const Progress& progress, ExportReport* report,
                      std::vector<EdfSignal>* named);

}  // namespace lockstep::storage
