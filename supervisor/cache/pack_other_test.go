//go:build !linux

package cache

import "os"

func blocksOf(os.FileInfo) int64 { return 0 }
