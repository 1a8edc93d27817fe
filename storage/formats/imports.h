// One function per source format: its descriptor. The table in formats.cpp lists them.
#pragma once

#include "acquisition/export.h"
#include "storage/formats/import.h"

namespace lockstep::storage {

ImportFormat edf_import();
ImportFormat xdf_import();
ImportFormat openbci_import();
ImportFormat e4_import();
ImportFormat emotibit_import();
ImportFormat csv_import();

// Labels from the file named by the option "labels", for any format: CSV with a start, a stop (or end)
// and a class (or label) column; of rows with a `file` or `subject` column only those of this source.
Status read_label_file(const std::string& source, const ImportOptions& options, ImportSink* sink);
// The option itself, for the descriptors.
OptionInfo label_file_option();

}  // namespace lockstep::storage
