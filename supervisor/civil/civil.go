package civil

import "time"

// Schedule is what [Parse] returns. It is immutable and may be shared.
type Schedule struct {
	text  string
	zone  *time.Location
	every time.Duration // 0: the fields count

	minutes, hours, days, months, weekdays bits
	anyDay, anyWeekday                     bool // the field is *: the other one decides alone
	wild                                   bool
}

// bits has bit n set if the number n is named.
type bits uint64

func (b bits) has(n int) bool { return b&(1<<n) != 0 }

// String is the text that was parsed.
func (s *Schedule) String() string { return s.text }

// Zone is the zone whose clock it goes by: time.Local if the text names none.
func (s *Schedule) Zone() *time.Location { return s.zone }

const (
	// maxShift is more than any clock was ever set by a change of its zone. (Whole days were skipped.)
	maxShift = 49 * time.Hour
	// horizon is how far ahead a day is sought: between two 29ths of February may be eight years, and a weekday
	// beside it makes that forty.
	horizon = 41
	// maxPeriods bounds the changes of a zone that are looked at.
	maxPeriods = 8 * horizon
)

// Next is the first time after a given one at which the schedule is due; zero: none is within 40 years.
func (s *Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		return after.Add(s.every - time.Duration(after.Nanosecond())).Round(0)
	}
	after = after.Round(0).In(s.zone)
	if s.wild {
		return s.nextWild(after)
	}
	return s.nextFixed(after)
}

// period is a time in which the zone's clock is not set. Its end does not belong to it.
type period struct {
	start, end time.Time     // zero: since ever, for ever
	offset     time.Duration // of the clock from UTC
}

func periodOf(t time.Time) period {
	_, offset := t.Zone()
	p := period{offset: time.Duration(offset) * time.Second}
	p.start, p.end = t.ZoneBounds()
	return p
}

// reading is what the clock shows at t, as a time in UTC.
func (p period) reading(t time.Time) time.Time { return t.UTC().Add(p.offset) }

// at is when the clock shows c: not before the period begins, by when it may show more. ok: the period has not ended then.
func (p period) at(c time.Time, zone *time.Location) (t time.Time, ok bool) {
	t = c.Add(-p.offset).In(zone)
	if !p.start.IsZero() && t.Before(p.start) {
		t = p.start
	}
	return t, p.end.IsZero() || t.Before(p.end)
}

// nextFixed finds the first local time that is named and that no clock has shown, or passed, up to after.
func (s *Schedule) nextFixed(after time.Time) time.Time {
	p := periodOf(after)
	unseen := minuteAfter(p.reading(after))
	for at := p.start; !at.IsZero() && after.Sub(at) < maxShift; {
		before := periodOf(at.Add(-1))
		if end := before.reading(at); end.After(unseen) { // the clock was set back
			unseen = ceilMinute(end)
		}
		at = before.start
	}
	c := s.nextNamed(unseen)
	if c.IsZero() {
		return time.Time{}
	}
	// The first moment at which the clock shows it or more, beginning with what may be the period before.
	q := periodOf(c.Add(-p.offset - maxShift).In(s.zone))
	for range maxPeriods {
		if t, ok := q.at(c, s.zone); ok {
			return t
		}
		q = periodOf(q.end)
	}
	return time.Time{}
}

// nextWild goes from period to period: within one the clock goes evenly.
func (s *Schedule) nextWild(after time.Time) time.Time {
	p := periodOf(after)
	from := minuteAfter(p.reading(after))
	for range maxPeriods {
		c := s.nextNamed(from)
		if c.IsZero() {
			break
		}
		t, ok := p.at(c, s.zone)
		if ok {
			return t
		}
		p = periodOf(p.end)
		from = ceilMinute(p.reading(p.start))
	}
	return time.Time{}
}

func minuteAfter(t time.Time) time.Time { return t.Truncate(time.Minute).Add(time.Minute) }

func ceilMinute(t time.Time) time.Time { return t.Add(time.Minute - 1).Truncate(time.Minute) }

// nextNamed is the first local time from c on, a whole minute, that the fields name. Local times are times in UTC here:
// no clock is set there. Zero: none comes.
func (s *Schedule) nextNamed(c time.Time) time.Time {
	for last := c.Year() + horizon; c.Year() < last; {
		year, month, day := c.Date()
		switch {
		case !s.months.has(int(month)):
			c = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !s.namesDay(c):
			c = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		case !s.hours.has(c.Hour()):
			c = time.Date(year, month, day, c.Hour()+1, 0, 0, 0, time.UTC)
		case !s.minutes.has(c.Minute()):
			c = c.Add(time.Minute)
		default:
			return c
		}
	}
	return time.Time{}
}

// namesDay reports whether the day counts: where both a day of the month and a weekday are named, either does.
func (s *Schedule) namesDay(c time.Time) bool {
	day, weekday := s.days.has(c.Day()), s.weekdays.has(int(c.Weekday()))
	if s.anyDay || s.anyWeekday {
		return day && weekday
	}
	return day || weekday
}
