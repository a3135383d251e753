/** The answers to a structured input while the user fills it in. */
import type { Answer, Question } from "../protocol/wire";

/** What the user has entered for one question. */
export class AnswerDraft {
  readonly chosen = new Set<string>();
  own = "";
  isOwnChosen = false;
  isSkipped = false;

  constructor(readonly question: Question) {}

  get isMultiple(): boolean {
    return this.question.type === "multiple_choice" && Boolean(this.question.multiple);
  }

  choose(value: string, isChosen: boolean): void {
    if (!this.isMultiple) {
      this.chosen.clear();
      this.isOwnChosen = false;
    }
    if (isChosen) this.chosen.add(value);
    else this.chosen.delete(value);
    this.isSkipped = false;
  }

  chooseOwn(isChosen: boolean): void {
    if (!this.isMultiple) this.chosen.clear();
    this.isOwnChosen = isChosen;
    this.isSkipped = false;
  }

  write(text: string): void {
    this.own = text;
    if (this.question.type === "multiple_choice" && text.trim()) this.chooseOwn(true);
    this.isSkipped = false;
  }

  skip(): void {
    this.chosen.clear();
    this.isOwnChosen = false;
    this.own = "";
    this.isSkipped = true;
  }

  get values(): string[] {
    const own = this.own.trim();
    if (this.question.type === "freeform") return own ? [own] : [];
    const chosen = this.question.options.map(({ value }) => value).filter((value) => this.chosen.has(value));
    return this.isOwnChosen && own ? [...chosen, own] : chosen;
  }

  get answer(): Answer {
    const { values } = this;
    return values.length ? { values, skipped: false } : { values: [], skipped: true };
  }
}

export type Submission = { status: "answered" | "skipped"; answers: Record<string, Answer> };

/** All questions without an answer make a skipped form. */
export function submissionOf(drafts: AnswerDraft[]): Submission {
  const answers = Object.fromEntries(drafts.map(({ question, answer }) => [question.id, answer]));
  return { status: drafts.every(({ values }) => !values.length) ? "skipped" : "answered", answers };
}
