// Package rounds asks each of some members again and again: a check, or a report by HTTP.
//
//	Update ──▶ plan: who is due, who is being asked ──▶ at most AtOnce goroutines, one question each ──▶ the caller's ask
//
// Each member has its own times, Every apart with jitter, so that 1,000 members are not asked in one instant. They follow from the time at
// which the question was due, and not from that of the answer: a slow answer does not delay the next question, and a member whose
// answer is still awaited is not asked twice. Where more than AtOnce are due, those that are due for the longest time come first.
//
// All times are monotonic: a jump of the clock changes nothing.
package rounds
