#!/usr/bin/env bash
# Installs rig from a release archive into the folder $1, after comparing its SHA-256 sum with the one beside it.
# RIG_VERSION: a version, or latest. RIG_REPOSITORY: OWNER/NAME. RIG_RELEASES: the address of the releases.
set -euo pipefail
into=${1:?name the folder to install into}
version=${RIG_VERSION:-latest}
releases=${RIG_RELEASES:-${GITHUB_SERVER_URL:-https://github.com}/${RIG_REPOSITORY:?which repository has the releases?}/releases}
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) target=x86_64-unknown-linux-gnu ;;
  Linux-aarch64) target=aarch64-unknown-linux-gnu ;;
  Darwin-arm64) target=aarch64-apple-darwin ;;
  *) echo "there is no archive for $(uname -s) on $(uname -m): cargo install rig" >&2; exit 2 ;;
esac
if test "$version" = latest; then from="$releases/latest/download"; else from="$releases/download/v$version"; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive="rig-$target.tar.gz"
curl --fail --silent --show-error --location --retry 3 --output "$folder/$archive" "$from/$archive"
curl --fail --silent --show-error --location --retry 3 --output "$folder/$archive.sha256" "$from/$archive.sha256"
if command -v sha256sum > /dev/null; then sum() { sha256sum "$@"; }; else sum() { shasum -a 256 "$@"; }; fi
(cd "$folder" && sum --check "$archive.sha256" > /dev/null) || { echo "the SHA-256 sum of $archive is wrong" >&2; exit 2; }
tar -xzf "$folder/$archive" -C "$folder"
mkdir -p "$into"
cp "$folder/rig-$target/bin/rig" "$folder/rig-$target/bin/rig-diff" "$into/"
echo "rig is installed: $("$into/rig" --version)"
