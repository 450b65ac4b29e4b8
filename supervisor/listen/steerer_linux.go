package listen

// makers are the kinds of a system, best first. The last never fails.
func makers() []maker {
	return []maker{
		{KindCBPF, func(s *Set, _ int) (steerer, error) { return newCBPF(len(s.groups), s.options), nil }},
		{KindHash, func(s *Set, _ int) (steerer, error) { return newHash(len(s.groups)), nil }},
	}
}
