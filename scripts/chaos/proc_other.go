//go:build !linux

package main

import (
	"errors"
	"net/netip"
	"syscall"
	"time"
)

// What a kill may cost, and what is left of a run, is read from Linux's /proc and
// sock_diag. Elsewhere the command builds and says so.
var errLinuxOnly = errors.New("chaos needs Linux")

func openFiles(int) int { return 0 }

func openFilesBy(int) string { return "" }

func waiting(int) string { return "" }

func keptNames(int) string { return "" }

func (m *master) masters() []int { return nil }

func (m *master) household() error { return errLinuxOnly }

func sourceAddress(int) netip.Addr { return netip.Addr{} }

func processesOf(string) []int { return nil }

func readUsage(int) (usage, error) { return usage{}, errLinuxOnly }

type victim struct{ pid int }

func openVictim(int, string) *victim { return nil }

func (v *victim) close()                             {}
func (v *victim) wait(time.Duration) bool            { return false }
func (v *victim) signal(syscall.Signal)              {}
func (v *victim) kill(uint16, func()) (*kill, error) { return nil, errLinuxOnly }
