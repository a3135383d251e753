/** What is found in the same way in both elements: by role alone. */
export const both = {
  attach: (root) => root.locator("input[type=file]").first(),
  menuItem: (root, name) => root.getByRole("menuitemradio", { name }).or(root.getByRole("menuitem", { name })).or(root.getByRole("option", { name })).first(),

  choice: (root, name) => root.getByRole("radio", { name, exact: true }).or(root.getByRole("button", { name, exact: true })).first(),

  /** Answers the questions that replace the composer, one after the other or all at once. */
  async answerQuestions(root, answers) {
    for (const { choice, text } of answers) {
      if (choice) await this.choice(root, choice).click();
      else await root.getByRole("textbox").last().fill(text);
      const next = root.getByRole("button", { name: /^(next|continue)/i });
      if (await next.count()) await next.click();
    }
    const submit = root.getByRole("button", { name: /^(submit|send|done)/i }).last();
    if (await submit.count()) await submit.click();
  },
};
