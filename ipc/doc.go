// Package ipc is the channel between the master and its workers.
package ipc
