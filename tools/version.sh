#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the version, from the one place that has it.
sed -n 's/^#define SQ_VERSION_STRING "\(.*\)"$/\1/p' "$(dirname "$0")/../include/sealq/version.h"
