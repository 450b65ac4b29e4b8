//go:build !linux

package filewatch

// deepWatch: to watch a folder opens each file in it, so that only those near the end of a path are watched.
const deepWatch = false
