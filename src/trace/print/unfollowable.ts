/** A print format, or an event's data, that cannot be followed: the event is shown field by field instead. Never leaves print/. */
export class Unfollowable extends Error {}

/** A print format that takes too long to follow. */
export class TooLong extends Unfollowable {}
