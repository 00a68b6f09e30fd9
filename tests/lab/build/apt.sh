# Reads package indexes of Debian suites into a private folder, so that the
# machine's own apt sources stay as they are. Sourced by the build scripts.
# shellcheck shell=bash

# The mirror this machine itself uses.
debian_mirror() {
  local found format='$''(REPO_URI)'
  found=$(apt-get indextargets --format "$format" 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | head -n 1)
  [ -n "$found" ] || found=$(apt-get indextargets --format "$format" 'Created-By: Packages' | head -n 1)
  [ -n "$found" ] || { echo "apt knows no mirror: run apt-get update" >&2; return 1; }
  echo "$found"
}

# private_apt FOLDER: reads FOLDER/sources.list into FOLDER and leaves the options to use it in PRIVATE_APT.
private_apt() {
  local folder=$1
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
  PRIVATE_APT=(
    -oDir::State::Lists="$folder/lists" -oDir::Cache="$folder/cache"
    -oDir::Etc::SourceList="$folder/sources.list" -oDir::Etc::SourceParts=/dev/null
    -oAPT::Sandbox::User=root -oAcquire::Languages=none
  )
  apt-get "${PRIVATE_APT[@]}" update
}
