//go:build !linux

package main

import (
	"errors"
	"net/netip"
	"syscall"
)

// What a kill may cost, and what is left of a run, is read from Linux's /proc and
// sock_diag. Elsewhere the command builds and says so.
var errLinuxOnly = errors.New("chaos needs Linux")

func sourceAddress(int) netip.Addr { return netip.Addr{} }

func processesOf(string) []int { return nil }

func readHealth(int) (health, error) { return health{}, errLinuxOnly }

type victim struct{ pid int }

func openVictim(int, string) *victim { return nil }

func (v *victim) close()                     {}
func (v *victim) signal(syscall.Signal)      {}
func (v *victim) kill(uint16) (*kill, error) { return nil, errLinuxOnly }
