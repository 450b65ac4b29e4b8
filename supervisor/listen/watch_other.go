//go:build !linux

package listen

import "errors"

// Watch is not available on this system.
func (s *Set) Watch(w Watch) error { return s.watch(w) }

func (s *Set) watch(Watch) error {
	return errors.New("cannot watch the slots: there is no means for it on this system")
}
