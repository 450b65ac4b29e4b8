//go:build !linux

package cache

import "os"

func punchHole(*os.File, int64, int64) {}
