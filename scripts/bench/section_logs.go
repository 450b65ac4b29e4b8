//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

// logs lets workers print into the log file of their app: many of them steadily, then one as fast as it can.
func (b *bench) logs() error {
	const workers, rate = 64, 1000
	lines := rate * b.times(10, 3)
	s, file, err := b.chatter(workers, fmt.Sprintf("CHATTER_LINES: '%d', CHATTER_COUNT: '%d'", rate, lines))
	if err != nil {
		return err
	}
	defer s.p.stop()
	before, began := procfs.CPUTime(s.master()), time.Now()
	if err := s.chat(); err != nil {
		return err
	}
	if err := b.sleep(time.Duration(lines) * time.Second / rate * 3 / 4); err != nil {
		return err
	}
	used := float64(procfs.CPUTime(s.master())-before) / float64(time.Since(began))
	got, ended := 0, 0
	for deadline := time.Now().Add(60 * time.Second); ended < workers && time.Now().Before(deadline); {
		if err := b.sleep(200 * time.Millisecond); err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		got, ended = bytes.Count(text, []byte("chat ")), bytes.Count(text, []byte("chatted "))
	}
	what := fmt.Sprintf("%d workers of %d lines/s each: ", workers, rate)
	b.table.add(what+"CPU of the master", "< 20 % of one", fmt.Sprintf("%.1f %%", 100*used), verdictOf(used < 0.2))
	b.table.add(what+"lines lost", "0", fmt.Sprintf("%d of %d", workers*lines-got, workers*lines), verdictOf(got == workers*lines))
	b.lost += max(workers*lines-got, 0)

	f, file, err := b.chatter(1, "CHATTER_FLOOD: '200', CHATTER_BYTES: '200'")
	if err != nil {
		return err
	}
	defer f.p.stop()
	rested := procfs.RSS(f.master())
	if err := f.chat(); err != nil {
		return err
	}
	most, began := int64(0), time.Now()
	for time.Since(began) < time.Duration(b.times(5, 2))*time.Second {
		if err := b.sleep(50 * time.Millisecond); err != nil {
			return err
		}
		most = max(most, procfs.RSS(f.master()))
	}
	written := int64(0)
	names, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			written += info.Size()
		}
	}
	grown := float64(most-rested) / (1 << 20)
	b.table.add("one worker that prints 200 MB/s, or what the disk takes: memory grows by", "< 16 MB", fmt.Sprintf("%.1f MB", grown), verdictOf(grown < 16))
	b.table.add("bytes in its log, rotated at 256 MiB, of which one more stays", "", fmt.Sprintf("%.0f MB", float64(written)/1e6), info)
	return nil
}

// chatter starts workers that print when they are told to, and says where.
func (b *bench) chatter(workers int, env string) (*peer, string, error) {
	dir, err := os.MkdirTemp(b.dir, "chat-")
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "chat.log")
	s, err := b.launch(b.under("tine", filepath.Join(b.dir, "chatter"), workers,
		"env: {"+env+"}", fmt.Sprintf("log: {file: %q, max_size: 256MiB, keep: 1}", file)))
	if err != nil {
		return nil, "", err
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		for _, e := range s.log.since(0) {
			if e.Message == "all workers are ready" {
				return s, file, nil
			}
		}
		if time.Now().After(deadline) {
			s.p.stop()
			return nil, "", fmt.Errorf("%d workers that print were not ready within 30 s:\n%s", workers, s.p.said())
		}
		if err := b.sleep(20 * time.Millisecond); err != nil {
			s.p.stop()
			return nil, "", err
		}
	}
}

// chat lets all workers begin.
func (s *peer) chat() error {
	var failed []error
	for _, pid := range s.workers() {
		failed = append(failed, syscall.Kill(pid, syscall.SIGUSR1))
	}
	return errors.Join(failed...)
}
