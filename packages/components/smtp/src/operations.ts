import type { Operation, Parameter } from "@mecha/component";

const text = (name: string, description: string, required = false): Parameter => ({
  name,
  type: "string",
  required,
  description,
});

export const operations: readonly Operation[] = [
  {
    name: "send",
    description:
      "Sends a mail. The data is its text (text/plain or text/html), or JSON: {text, html, attachments: [{filename, contentType, content}]} with content in base64.",
    parameters: [
      text("to", 'Who gets it: "anna@example.com", or several with commas between them, with or without names.', true),
      text("cc", "Who gets a copy."),
      text("bcc", "Who gets a copy without the others seeing it."),
      text("replyTo", "Whom answers go to. Default: the sender."),
      text("subject", "The subject: one line. Default: none."),
      text("messageId", 'The mail\'s Message-ID, "<…@…>", the same when a mail is sent again. Default: a new one.'),
    ],
    input: "*/*",
    results: [
      text("messageId", "The mail's Message-ID.", true),
      text("accepted", "The addresses that the server took it for, with commas between them.", true),
      text("rejected", "The addresses that the server refused, if any."),
    ],
  },
];
